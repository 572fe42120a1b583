"""The command that grants a role on a project: what people are told where one is missing.

What belongs here: the `gcloud` line. Which role whom is the business of whoever names it.
"""

SERVICE_ACCOUNT = "serviceAccount:SERVICE_ACCOUNT"
"""Whom to grant it to, where the caller cannot know as whom it asks."""
YOU = "user:YOU"


def project_grant(project: str, role: str, member: str = SERVICE_ACCOUNT) -> str:
    """The line, to be typed after the member's name was put in."""
    return f'gcloud projects add-iam-policy-binding {project} --member="{member}" --role="{role}"'
