"""What Cloud Run shall serve in one environment, as its YAML file says.

What belongs here: the file's fields and their checks. What Cloud Run is sent because of them is template.py.
"""

import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.rollout_section import RolloutSection
from convergence_orchestration.settings import Environment

_FILES = Path(__file__).with_name("specifications")
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_TAG = r"^[a-z]([a-z0-9-]*[a-z0-9])?$"
_RESERVED = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
_SECRETLY_NAMED = re.compile(r"(SECRET|PASSWORD|TOKEN|API_KEY)$")
_LONGEST_TAG_AND_SERVICE = 46
_LONGEST_START_SECONDS = 240

Variable = Annotated[str, Field(pattern=_VARIABLE)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretVersion(_Part):
    """One version of a secret. A version's number, for with `latest` the instances of one revision may differ."""

    secret: str = Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", description="The secret's name.")
    version: int = Field(ge=1, description="The number of its version.")


class PrivateNetwork(_Part):
    """The VPC network in which instances reach private addresses: Dagster's web server, Memorystore."""

    network: str = Field(pattern=r"^[a-z0-9/._-]+$", description="Its name, or its full resource name.")
    subnetwork: str = Field(
        pattern=r"^[a-z0-9/._-]+$", description="A subnetwork of it in the service's region."
    )


class StartupProbe(_Part):
    """When a new instance counts as started; seconds."""

    path: str = Field(default="/health/live", pattern=r"^/\S*$", description="Asked by HTTP.")
    period_seconds: int = Field(default=2, ge=1, le=_LONGEST_START_SECONDS)
    timeout_seconds: int = Field(default=2, ge=1, le=_LONGEST_START_SECONDS)
    failure_threshold: int = Field(default=60, ge=1)

    @model_validator(mode="after")
    def _fits_cloud_run(self) -> Self:
        if self.timeout_seconds > self.period_seconds:
            raise ValueError("timeout_seconds must not be more than period_seconds")
        if self.seconds > _LONGEST_START_SECONDS:
            raise ValueError(
                f"period_seconds x failure_threshold must be at most {_LONGEST_START_SECONDS}, Cloud Run's limit"
            )
        return self

    @property
    def seconds(self) -> int:
        """How long an instance has to start."""
        return self.period_seconds * self.failure_threshold


class ServiceSpecification(_Part):
    """One Cloud Run service. Defaults are those of the deployment guide for staging."""

    service: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$", description="The service's name.")
    memory: str = Field(default="2Gi", pattern=r"^[1-9][0-9]*(Mi|Gi)$", description="Of one instance.")
    cpu: Literal[1, 2, 4, 6, 8] = Field(default=2, description="Of one instance.")
    timeout_seconds: int = Field(default=300, ge=1, le=3600, description="For one request.")
    concurrency: int = Field(default=100, ge=1, le=1000, description="Requests at once in one instance.")
    min_instances: int = Field(default=1, ge=0, description="Kept although nobody asks.")
    max_instances: int = Field(default=10, ge=1, description="However many ask.")
    tags: tuple[Annotated[str, Field(pattern=_TAG)], ...] = Field(
        default=("blue", "green", "amber"),
        min_length=2,
        description="A new revision gets the first of these that leads to no revision with traffic.",
    )
    ingress: Literal["all", "internal", "internal-and-cloud-load-balancing"] = "all"
    allow_unauthenticated: bool = Field(default=True, description="Google asks callers for no identity.")
    service_account: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9-]+@[a-z0-9.-]+$",
        description="Whom it runs as; unset, the environment's.",
    )
    image_repository: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$",
        description="Where images go; unset, the project's Artifact Registry.",
    )
    variables: dict[Variable, str] = Field(
        default_factory=dict, description="Besides those that follow from the settings, and before them."
    )
    secrets: dict[Variable, SecretVersion] = Field(
        default_factory=dict,
        description="Variables whose value is a secret. ADMIN_API_KEY need not be one: unset, the API reads the secret "
        "itself and takes part in its rotation.",
    )
    private_network: PrivateNetwork | None = Field(
        default=None, description="Where private addresses are reached; unset, none is."
    )
    startup_probe: StartupProbe = StartupProbe()
    checklist: tuple[Item, ...] = Field(default=(), description="What has to be met before a release.")
    backup_within_hours: float = Field(default=24, gt=0, description="How old the last backup may be.")
    rollout: RolloutSection = Field(default=RolloutSection(), description="How a release goes to everybody.")

    @field_validator("variables", "secrets")
    @classmethod
    def _leaves_cloud_runs_own(cls, value: dict[str, object]) -> dict[str, object]:
        if taken := sorted(_RESERVED & value.keys()):
            raise ValueError(f"{', '.join(taken)} is set by Cloud Run itself")
        return value

    @field_validator("variables")
    @classmethod
    def _holds_no_secret(cls, value: dict[str, str]) -> dict[str, str]:
        if named := sorted(name for name in value if _SECRETLY_NAMED.search(name)):
            raise ValueError(f"name {', '.join(named)} under secrets: everybody can read a variable")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.min_instances > self.max_instances:
            raise ValueError("min_instances must not be more than max_instances")
        if len(set(self.tags)) < len(self.tags):
            raise ValueError("tags must differ from each other")
        if twice := sorted(self.variables.keys() & self.secrets.keys()):
            raise ValueError(f"{', '.join(twice)} is both a variable and a secret")
        if max(map(len, self.tags)) + len(self.service) > _LONGEST_TAG_AND_SERVICE:
            raise ValueError(
                f"a tag and the service's name have at most {_LONGEST_TAG_AND_SERVICE} letters together"
            )
        return self

    @property
    def backup_within(self) -> timedelta:
        """How old the last backup may be."""
        return timedelta(hours=self.backup_within_hours)


def parse_specification(text: str, name: str) -> ServiceSpecification:
    """The specification that a file called `name` holds.

    Raises:
        PermanentError: INVALID_SETTINGS with a sentence for each wrong field.
    """
    try:
        return ServiceSpecification.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS, f"Write {name} as YAML: it cannot be read."
        ) from None
    except ValidationError as error:
        sentences = "; ".join(_sentence(item["loc"], item["msg"]) for item in error.errors())
        raise PermanentError(ErrorCode.INVALID_SETTINGS, f"Correct {name}: {sentences}.") from None


@cache
def specification_of(environment: Environment) -> ServiceSpecification:
    """The environment's specification, as this package has it."""
    path = _FILES / f"{environment.value}.yaml"
    return parse_specification(path.read_text(encoding="utf-8"), path.name)


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    field = ".".join(map(str, place))
    text = message.removeprefix("Value error, ")
    return f"{field}: {text}" if field else text
