"""Who is told: channels, as the secret `alert-channels-<environment>` declares them.

What belongs here: the form of the secret, and which channel hears of what. A channel's URL is a secret itself: it never stands in
an error, a log line or metadata. Sending is delivery.py.
"""

from dataclasses import field
from typing import Annotated, Final

import yaml
from pydantic import ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.secrets import Secrets
from convergence_orchestration.health.alerting.model import AlertEvent, Severity
from convergence_orchestration.settings import Environment

LOG_NAME: Final = "log"
"""The channel that is always there: a JSON line in the log of whoever evaluates."""

_EVERYTHING: Final = frozenset(Severity)
_EVERYWHERE: Final = frozenset(Environment)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class Channel:
    """Somebody who is told.

    Attributes:
        name: names it in the table of alerts, for good: under another name it is another channel.
        url: as `apprise` has it, for example `mailtos://...`, `slack://...`, `pagerduty://...`, `jsons://...`; None: the log.
        severities, environments: what it hears of; everything if not given.
        heartbeat: a dead man's switch: it hears of no alert but of every evaluation, and has to tell people when that stops.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,49}$")]
    url: SecretStr | None = field(default=None, repr=False)
    severities: frozenset[Severity] = _EVERYTHING
    environments: frozenset[Environment] = _EVERYWHERE
    heartbeat: bool = False

    def hears(self, event: AlertEvent) -> bool:
        """Whether it is told of this event."""
        return self.hears_of(event.severity) and event.about_subject.environment in self.environments

    def hears_of(self, severity: Severity) -> bool:
        """Whether it is told of what is so severe."""
        return severity in self.severities and not self.heartbeat


LOG_CHANNEL: Final = Channel(LOG_NAME)

_CHANNELS: Final = TypeAdapter(tuple[Channel, ...], config=ConfigDict(hide_input_in_errors=True))


def channels_secret_id(environment: Environment) -> str:
    """The secret's name."""
    return f"alert-channels-{environment.short}"


def read_channels(secrets: Secrets, environment: Environment) -> tuple[Channel, ...]:
    """The log and whatever the secret declares; without a secret the log alone.

    Raises:
        ConvergenceError: Secret Manager cannot be asked, or INVALID_SETTINGS for what is no list of channels.
    """
    secret_id = channels_secret_id(environment)
    try:
        payload = secrets.access(secret_id).payload
    except PermanentError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return (LOG_CHANNEL,)
    return (LOG_CHANNEL, *parse_channels(payload, secret_id))


def parse_channels(payload: bytes, secret_id: str) -> tuple[Channel, ...]:
    """The channels that the secret's payload declares, as YAML or JSON.

    Raises:
        PermanentError: INVALID_SETTINGS, which names fields and never shows a value.
    """
    try:
        channels = _CHANNELS.validate_python(yaml.safe_load(payload))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _refused(secret_id, "it is neither YAML nor JSON") from None
    except ValidationError as error:
        wrong = sorted({".".join(map(str, each["loc"])) or "the whole of it" for each in error.errors()})
        raise _refused(secret_id, f"wrong are {', '.join(wrong)}") from None
    names = [channel.name for channel in channels]
    if len(set(names)) < len(names) or LOG_NAME in names or any(channel.url is None for channel in channels):
        raise _refused(
            secret_id, f"each channel needs a URL and a name of its own, and none is called {LOG_NAME}"
        )
    return channels


def _refused(secret_id: str, why: str) -> PermanentError:
    return PermanentError(
        ErrorCode.INVALID_SETTINGS,
        f"Mend the secret {secret_id}, a list of channels with name, url, severities, environments and heartbeat: {why}.",
    )
