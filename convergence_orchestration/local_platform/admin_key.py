"""A step of the start: the administrators' key is made and stored in Secret Manager if there is none.

    python -m convergence_orchestration.local_platform.admin_key

What belongs here: this step alone, run as a process of its own so that the supervisor never holds the key nor Google's
libraries. It prints nothing of the key.
"""

import sys

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.gcp.clients import secret_manager_client
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.keys import admin
from convergence_orchestration.settings import load_settings


def main() -> None:
    """Make sure that there is a key; exit with 1 and a sentence if that fails."""
    try:
        settings = load_settings()
        secrets = Secrets(secret_manager_client(settings), settings.gcp_project_id)
        print("The administrators' key is", admin.ensure(settings, secrets).source)  # noqa: T201 to its log
    except ConvergenceError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
