from datetime import UTC, datetime, timedelta

from convergence_orchestration.gcp.secrets import Secrets, SecretVersion
from convergence_orchestration.keys import admin
from convergence_orchestration.keys.admins.accepted import NOTHING, Place, look
from convergence_orchestration.settings import Settings

SECRET = "admin-api-key-dev"


class Emptied(Secrets):
    """Answers with an empty payload, which the service itself would not take."""

    def access(self, secret_id: str, version: str = "latest") -> SecretVersion:
        return SecretVersion(super().access(secret_id, version).name, b"")


def test_an_empty_payload_is_nobodys_key(settings: Settings, secrets: Secrets) -> None:
    admin.ensure(settings, secrets)
    now = datetime.now(UTC)
    place = Place(Emptied(secrets.client, secrets.project), settings.environment, timedelta(hours=1))

    found = look(place, SECRET, NOTHING, now)

    assert (found.newest, found.current) == (1, None)
    assert not found.accepts("", now)
