"""What tenancy is handed to revoke keys with, for the emulators of these settings."""

from convergence_orchestration.gcp.resources import settings_resources
from convergence_orchestration.keys.resources import KeyRevocation, key_resources
from convergence_orchestration.settings import Settings
from convergence_orchestration.tenancy.changes import KeyRevoker


def revoker(settings: Settings) -> KeyRevoker:
    made = key_resources(settings, settings_resources(settings))["revoke_keys"]
    assert isinstance(made, KeyRevocation)
    return made
