"""The commands that grant what an environment's service account needs.

What belongs here: `gcloud` lines for people. What is granted is declared in `model.py`.
"""

from convergence_orchestration.environment.model import SEALER, WAREHOUSE, Declared
from convergence_orchestration.gcp.grants import project_grant


def grant_on_key(declared: Declared) -> str:
    """Lets the account encrypt and decrypt."""
    parts = declared.crypto_key_name.split("/")
    return (
        f"gcloud kms keys add-iam-policy-binding {parts[7]} --project={parts[1]} --location={parts[3]} "
        f'--keyring={parts[5]} --member="{declared.member}" --role="{SEALER}"'
    )


def grant_on_secret(declared: Declared, project: str, secret_id: str, role: str) -> str:
    """Lets the account read a secret, or look at its versions."""
    return (
        f"gcloud secrets add-iam-policy-binding {secret_id} --project={project} "
        f'--member="{declared.member}" --role="{role}"'
    )


def grant_on_project(declared: Declared, project: str, role: str = WAREHOUSE) -> str:
    """Lets the account use BigQuery, or whatever the role says."""
    return project_grant(project, role, declared.member)
