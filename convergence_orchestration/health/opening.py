"""The environments that are looked at, over Google's clients, made from settings.

What belongs here: opening and closing. What is looked at is `probes/places.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from convergence_orchestration.gcp.clients import kms_client, run_clients, secret_manager_client
from convergence_orchestration.gcp.kms import Kms
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.probes.places import Place
from convergence_orchestration.releases.answering import client
from convergence_orchestration.settings import Settings

PROBE_SECONDS = 5.0
"""So long the API may take for one answer to a probe."""
CALL_SECONDS = 5.0
"""So long a call of Cloud Run is repeated: the next round is a minute away."""

KEY_SECONDS = 4.5
"""So long a call of KMS is repeated: both of a round trip are over before the look is given up, and say why."""


@dataclass(frozen=True)
class Looked:
    """An environment that is looked at: its settings, and the service that Cloud Run has there."""

    settings: Settings
    service: str


@contextmanager
def opened_places(wanted: Sequence[Looked], own: str) -> Iterator[list[Place]]:
    """The environments of one project; their clients are closed at the end, also under a probe that still waits.

    Raises:
        PermanentError: PERMISSION_DENIED if there are no usable credentials.
    """
    with ExitStack() as undo:
        yield [_place(undo, looked, own) for looked in wanted]


def _place(undo: ExitStack, looked: Looked, own: str) -> Place:
    settings = looked.settings
    run = CloudRun(
        *run_clients(settings), settings.gcp_project_id, settings.run_region, total_seconds=CALL_SECONDS
    )
    undo.callback(run.close)
    kms, secrets = kms_client(settings), secret_manager_client(settings)
    undo.callback(kms.transport.close)
    undo.callback(secrets.transport.close)
    environment = settings.environment.value
    return Place(
        environment=environment,
        is_own=environment == own,
        service=looked.service,
        run=run,
        http=undo.enter_context(client(settings.run_authority_file, PROBE_SECONDS)),
        authority_file=settings.run_authority_file,
        kms=Kms(kms, settings.crypto_key_name, deadline_seconds=KEY_SECONDS),
        secrets=Secrets(secrets, settings.gcp_project_id),
        admin_secret_id=settings.admin_secret_id,
    )
