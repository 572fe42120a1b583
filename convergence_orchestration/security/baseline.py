"""The baseline: who shall have which role, as an environment's YAML file says.

What belongs here: the file's form and its checks.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.security.model import Grant, Place
from convergence_orchestration.settings import Environment, Settings

_FILES = Path(__file__).with_name("baselines")


class Part(BaseModel):
    """A part of a file, with no field besides its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Granted(Part):
    """A role and those who shall have it."""

    role: str = Field(min_length=1)
    members: tuple[str, ...] = Field(min_length=1)
    condition: str = ""


class AsksFor(Part):
    """What else shall protect the environment."""

    audit_logging: bool
    vpc_service_controls: bool
    cloud_armor: bool


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"it is no regular expression ({error})") from None
    return text


class Baseline(Part):
    """One environment's file."""

    grants: dict[Place, tuple[Granted, ...]]
    tolerated: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    asks_for: AsksFor

    def declared(self, place: Place, settings: Settings) -> frozenset[Grant]:
        """Who shall have which role on this resource."""
        names = {"{service_account}": settings.service_account_email, "{project}": settings.gcp_project_id}
        return frozenset(
            Grant(place, granted.role, filled(member, names), granted.condition)
            for granted in self.grants.get(place, ())
            for member in granted.members
        )

    def tolerates(self, member: str) -> bool:
        """Whether this member may have any role, such as Google's own agents."""
        return any(re.fullmatch(pattern, member) for pattern in self.tolerated)


@cache
def baseline_of(environment: Environment, directory: Path = _FILES) -> Baseline:
    """The baseline of an environment.

    Raises:
        PermanentError: INVALID_SETTINGS, the file is missing or wrong, with a sentence for each mistake.
    """
    path = directory / f"{environment}.yaml"
    try:
        return Baseline.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise PermanentError(
            ErrorCode.INVALID_SETTINGS, f"Mend {path}: it cannot be read ({type(error).__name__})."
        ) from None
    except ValidationError as error:
        wrong = "\n".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise PermanentError(ErrorCode.INVALID_SETTINGS, f"Mend {path}: {wrong}") from None


def filled(text: str, names: dict[str, str]) -> str:
    """The text with each name in braces replaced."""
    for name, value in names.items():
        text = text.replace(name, value)
    return text
