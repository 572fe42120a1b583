"""Settings that contradict each other, or the environment that they are for.

What belongs here: pure rules over settings. That each by itself is well-formed is `settings.py`'s business.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_address

from convergence_orchestration.doctor.model import Area, Finding, State
from convergence_orchestration.settings import Environment, Settings

_MINUTES_AN_HOUR = 60

type Contradiction = tuple[str, str, str]
"""The variables, what is wrong with them, and what to write."""


def configuration(settings: Settings) -> Iterator[Finding]:
    """A finding for each contradiction, or one that there is none."""
    found = [each for rule in _RULES for each in rule(settings)]
    for subject, cause, cure in found:
        yield Finding(Area.CONFIGURATION, subject, State.PROBLEM, cause, cure)
    if not found:
        words = f"ENVIRONMENT={settings.environment}, project {settings.gcp_project_id}: nothing contradicts."
        yield Finding(Area.CONFIGURATION, "settings", State.OK, words)


def unreadable(message: str) -> Finding:
    """What is said when there are no settings at all: `message` is what `load_settings` raised."""
    variables = ", ".join(line.partition(" ")[0] for line in message.splitlines())
    return Finding(
        Area.CONFIGURATION, variables, State.PROBLEM, message, "${EDITOR:-vi} .env   # or unset the variable"
    )


def _emulators(settings: Settings) -> Iterator[Contradiction]:
    names = [name for name in Settings.model_fields if name.endswith("_emulator_host")]
    unset = [name.upper() for name in names if getattr(settings, name) is None]
    if len(unset) == len(names):
        return
    if unset:
        yield (
            ", ".join(unset),
            "some services are emulators and these are Google's own: one half does not know what the other made",
            "unset " + " ".join(name.upper() for name in names) + "   # or set all of them",
        )
    if settings.environment is Environment.PRODUCTION:
        yield (
            "ENVIRONMENT",
            "production is asked for from emulators",
            "export ENVIRONMENT=development",
        )


def _key_ring(settings: Settings) -> Iterator[Contradiction]:
    others = [each.short for each in Environment if each is not settings.environment]
    ring = settings.key_ring
    if any(ring.endswith(f"-{short}") for short in others):
        yield (
            "KMS_KEYRING",
            f"the key ring {ring} is another environment's than {settings.environment}",
            f"export KMS_KEYRING=convergence-keyring-{settings.environment.short}",
        )


def _service_account(settings: Settings) -> Iterator[Contradiction]:
    account = settings.service_account_email.partition("@")[0]
    others = [each.short for each in Environment if each is not settings.environment]
    if any(account.endswith(f"-{short}") for short in others):
        yield (
            "SERVICE_ACCOUNT",
            f"the service account {settings.service_account_email} is another environment's",
            "unset SERVICE_ACCOUNT",
        )


def _indexes(settings: Settings) -> Iterator[Contradiction]:
    for kind in ("key", "tenant"):
        refresh = getattr(settings, f"{kind}_index_refresh_seconds")
        oldest = getattr(settings, f"{kind}_index_max_age_seconds")
        if refresh * 2 > oldest:
            name = f"{kind.upper()}_INDEX_MAX_AGE_SECONDS"
            yield (
                name,
                f"{name} is {oldest:g} and a look comes every {refresh:g} s: one that is late, and tenants get 503",
                f"export {name}={max(refresh * 5, 30):g}",
            )


def _limits(settings: Settings) -> Iterator[Contradiction]:
    a_minute, an_hour = settings.tenant_requests_per_minute, settings.tenant_requests_per_hour
    if an_hour < a_minute:
        yield (
            "TENANT_REQUESTS_PER_HOUR",
            f"{an_hour} requests an hour are fewer than {a_minute} a minute, which is never reached",
            f"export TENANT_REQUESTS_PER_HOUR={a_minute * _MINUTES_AN_HOUR}",
        )
    if _is_deployed(settings) and settings.rate_limit_storage_url.startswith("memory:"):
        yield (
            "RATE_LIMIT_STORAGE_URL",
            f"limits are counted in each instance's memory, so {settings.environment} allows each tenant a multiple",
            "export RATE_LIMIT_STORAGE_URL=redis://HOST:6379",
        )


def _administrators(settings: Settings) -> Iterator[Contradiction]:
    if settings.admin_key_overlap_hours >= settings.admin_key_rotation_days * 24:
        yield (
            "ADMIN_KEY_OVERLAP_HOURS",
            "the key before counts until the next rotation: there is never one key alone",
            "export ADMIN_KEY_OVERLAP_HOURS=24",
        )
    if settings.admin_api_key is not None and settings.environment is not Environment.DEVELOPMENT:
        yield (
            "ADMIN_API_KEY",
            f"it is set, so rotations of {settings.admin_secret_id} in Secret Manager change nothing",
            "unset ADMIN_API_KEY",
        )


def _addresses(settings: Settings) -> Iterator[Contradiction]:
    if _is_deployed(settings) and _is_loopback(settings.dagster_url.host or ""):
        yield (
            "DAGSTER_URL",
            f"{settings.environment} looks for Dagster on its own machine ({settings.dagster_base_url})",
            "export DAGSTER_URL=http://DAGSTER_HOST:80",
        )
    if settings.disable_auth and not _is_loopback(settings.api_host):
        yield (
            "DISABLE_AUTH",
            f"everybody who reaches {settings.api_host}:{settings.api_port} is an administrator",
            "unset DISABLE_AUTH   # or export API_HOST=127.0.0.1",
        )
    if settings.environment is Environment.PRODUCTION and settings.log_level == "DEBUG":
        yield ("LOG_LEVEL", "production logs at DEBUG", "export LOG_LEVEL=INFO")


def _is_deployed(settings: Settings) -> bool:
    """Whether it is staging or production on Google Cloud, and not one that is played on this machine."""
    return settings.environment is not Environment.DEVELOPMENT and not settings.run_emulator_host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


_RULES: tuple[Callable[[Settings], Iterator[Contradiction]], ...] = (
    _emulators,
    _key_ring,
    _service_account,
    _indexes,
    _limits,
    _administrators,
    _addresses,
)
