"""Names of Secret Manager's resources.

What belongs here: their form and their parts.
"""

from convergence_orchestration.local_gcp.fields import name_pattern

ID = r"[a-zA-Z0-9_-]{1,255}"
ALIAS = r"[a-zA-Z][a-zA-Z0-9_-]{0,62}"
LATEST = "latest"
RESERVED_ALIASES = frozenset({LATEST, "NEW"})
_SECRET = "projects/{project}/secrets/{secret}"  # noqa: S105 a name

PROJECT = name_pattern("projects/{project}")
SECRET = name_pattern(_SECRET, secret=ID)
VERSION = name_pattern(_SECRET + "/versions/{version}", secret=ID, version=rf"[1-9][0-9]{{0,8}}|{ALIAS}")


def version_name(secret_name: str, number: int) -> str:
    """The name of a secret's version."""
    return f"{secret_name}/versions/{number}"


def parts(version: str) -> tuple[str, str]:
    """The secret's name and the number or alias in a version's name."""
    secret_name, _, identifier = version.rpartition("/versions/")
    return secret_name, identifier
