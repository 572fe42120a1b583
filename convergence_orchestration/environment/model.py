"""What an environment is declared to have, and what preparing it found and did.

What belongs here: types without I/O. Nothing here holds a key.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from convergence_orchestration.settings import Environment, Settings

SEALER: Final = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
READER: Final = "roles/secretmanager.secretAccessor"
LOOKER: Final = "roles/secretmanager.viewer"
"""Shows versions without their payloads: when a key was made says how long the one before it counts."""
WAREHOUSE: Final = "roles/bigquery.admin"
"""Makes datasets and tables and runs jobs, in the whole project: a prerequisite of the guide, granted by hand."""


class Action(StrEnum):
    """What was done about one thing."""

    CREATED = "created"
    CHANGED = "changed"
    EXISTED = "existed"
    TRIED = "tried"

    @property
    def is_change(self) -> bool:
        """Something is different now."""
        return self in {Action.CREATED, Action.CHANGED}


@dataclass(frozen=True)
class Difference:
    """Something that was not as declared, and is now."""

    what: str
    found: str
    declared: str


@dataclass(frozen=True)
class Prepared:
    """One thing that is as declared now.

    Attributes:
        name: its full name.
        action: what had to be done.
        changed: what was not as declared.
        note: what a person should know about it.
    """

    name: str
    action: Action
    changed: tuple[Difference, ...] = ()
    note: str = "It is as it should be."


@dataclass(frozen=True)
class Declared:
    """An environment as it should be."""

    environment: Environment
    crypto_key_name: str
    rotation: timedelta
    service_account: str
    secret_id: str

    @property
    def member(self) -> str:
        """The service account as IAM writes it."""
        return f"serviceAccount:{self.service_account}"


def declared_by(settings: Settings) -> Declared:
    """What the settings' environment should have."""
    return Declared(
        environment=settings.environment,
        crypto_key_name=settings.crypto_key_name,
        rotation=timedelta(days=settings.kms_rotation_days),
        service_account=settings.service_account_email,
        secret_id=settings.admin_secret_id,
    )
