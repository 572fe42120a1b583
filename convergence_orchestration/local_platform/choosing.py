"""Which environment a start is of, and with which settings.

What belongs here: the choice between what is asked for, what ENVIRONMENT says and what the data directory holds.
"""

from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import environment_of
from convergence_orchestration.settings import Environment, Settings, load_settings


def settings_to_start(directory: DataDirectory, asked: str | None) -> Settings:
    """The settings for the environment that is asked for; None: ENVIRONMENT's if that is set, else as last time.

    What names a key ring or an account beside an ENVIRONMENT is that environment's alone. An administrators' key stays, so
    that one of another environment is refused and not passed over.

    Raises:
        PermanentError: INVALID_SETTINGS, also for what is allowed in development alone.
    """
    settings = load_settings()
    is_named = "environment" in settings.model_fields_set
    chosen = Environment(asked) if asked else settings.environment
    if not asked and not is_named and (last := record.read(directory)) is not None:
        chosen = environment_of(last)
    if chosen is settings.environment:
        return settings
    allowed = load_settings(environment=chosen)
    if not is_named:
        return allowed
    return settings.of(chosen).model_copy(update={"admin_api_key": settings.admin_api_key})
