"""Faults on demand: what the cloud does on a bad day, read from a YAML file while the emulators run.

What belongs here: the file's format, which call meets which rule, and the counting. How a fault becomes an answer is
the business of each server (`asgi_faults.py`, `dispatch.py`).

The file (default `DATA_DIR/faults.yaml`, absent: no faults) is a list of rules and is read again when it changes,
which starts all counts anew. A file that is wrong is reported in the log and means no faults.

    - method: google.cloud.kms.v1.KeyManagementService/Encrypt   # gRPC, and the same handler over REST
      code: UNAVAILABLE          # a canonical code, or an HTTP status
      times: 2                   # the first two calls; the third succeeds
    - method: "POST /bigquery/v2/projects/*/datasets"            # local-bigquery: verb and path
      code: 403
      reason: rateLimitExceeded  # the word that BigQuery's clients decide by
      every: 5                   # each fifth call
    - method: google.cloud.secretmanager.v1.*
      delay_seconds: 1.5         # slow, and then as usual: no code
    - method: "*/Decrypt"
      corrupt: plaintext_crc32c  # one byte or number of the answer is wrong
    - method: "POST */tables/tenant_requests/insertAll"
      body: [acmecorp, RUNNING]  # only calls whose body has each of these texts
      kill: caller               # SIGKILL for the process that calls, or for the `emulator`
      when: after                # it has happened, and nobody is told; `before` (the default): it never happens
      times: 1                   # deaths of the emulator are counted beyond them, in FILE.deaths

`method` is a glob in which `*` also matches `/`. Without `times` and `every` each call is met; with both, each
`every`th call until `times` faults were given. The first rule that applies to a call is the one used; a rule that
matched without applying still counts the call. `code` may come with `delay_seconds`; `corrupt` names a field of the
answer and works for the services of `server`, not for local-bigquery; `body` and `kill` work for local-bigquery alone.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from convergence_orchestration.local_gcp import codes
from convergence_orchestration.logs import logger

_log = logger(__name__)

type Victim = Literal["caller", "emulator"]


class FaultRule(BaseModel):
    """One rule of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(min_length=1)
    code: str | int | None = None
    reason: str | None = None
    times: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=1)
    delay_seconds: float = Field(default=0, ge=0, le=600)
    corrupt: str | None = None
    body: tuple[str, ...] = ()
    kill: Victim | None = None
    when: Literal["before", "after"] = "before"

    @model_validator(mode="after")
    def _does_something_known(self) -> Self:
        if not (self.code or self.corrupt or self.kill or self.delay_seconds):
            raise ValueError("a rule needs code, corrupt, kill or delay_seconds")
        if isinstance(self.code, str) and self.code not in codes.BY_NAME:
            raise ValueError(
                f"code {self.code!r} is neither an HTTP status nor one of {', '.join(codes.BY_NAME)}"
            )
        if isinstance(self.code, int) and not 400 <= self.code <= 599:  # noqa: PLR2004 HTTP's range of errors
            raise ValueError(f"code {self.code} is no HTTP status of an error (400 to 599)")
        return self


@dataclass(frozen=True)
class Fault:
    """What one call meets: first the delay in seconds, then a death, the code if there is one, else a corrupted answer.

    `kill` names who dies, before the call is carried out or, if `is_after`, before it is answered.
    """

    code: codes.Code | None = None
    reason: str | None = None
    delay_seconds: float = 0.0
    corrupt: str | None = None
    kill: Victim | None = None
    is_after: bool = False
    rule: int = 0
    """Which rule of the file asked for it, counted from 0."""

    @property
    def message(self) -> str:
        """The sentence that the caller reads."""
        return "This failure was asked for in the faults file of the local cloud."


NO_FAULT = Fault()
_RULES = TypeAdapter(list[FaultRule])


@dataclass
class _Counted:
    rule: FaultRule
    calls: int = 0
    given: int = 0

    def applies(self) -> bool:
        self.calls += 1
        if self.rule.every is not None and self.calls % self.rule.every:
            return False
        if self.rule.times is not None and self.given >= self.rule.times:
            return False
        self.given += 1
        return True


class Faults:
    """The rules of one file with their counts; safe to ask from many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._rules: list[_Counted] = []

    def meet(self, *names: str, body: bytes = b"") -> Fault:
        """The fault for one call that is known under any of `names`; NO_FAULT if it is to go well."""
        with self._lock:
            self._read_if_changed()
            for number, counted in enumerate(self._rules):
                if _is_for(counted.rule, names, body) and counted.applies():
                    return _fault(counted.rule, number)
        return NO_FAULT

    @property
    def look_into_bodies(self) -> bool:
        """Some rule is for calls with a certain body, so that `meet` wants to know it."""
        with self._lock:
            self._read_if_changed()
            return any(counted.rule.body for counted in self._rules)

    def note_death(self, fault: Fault) -> None:
        """Write down that the emulator is about to die of `fault`, so that its successor does not die of it again."""
        with self._deaths.open("a", encoding="utf-8") as file:
            file.write(f"{fault.rule}\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def _deaths(self) -> Path:
        return self._path.with_name(f"{self._path.name}.deaths")

    def _read_if_changed(self) -> None:
        seen = _identity(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        rules = [] if seen is None else _read(self._path)
        deaths = _read_deaths(self._deaths, self._path) if rules else Counter()
        self._rules = [_Counted(rule, given=deaths[number]) for number, rule in enumerate(rules)]


def _is_for(rule: FaultRule, names: Iterable[str], body: bytes) -> bool:
    has_body = all(text.encode() in body for text in rule.body)
    return has_body and any(fnmatchcase(name, rule.method) for name in names)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> list[FaultRule]:
    try:
        rules = _RULES.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        _log.error(
            "The faults file is wrong; correct it. Until then there are no faults.",
            path=str(path),
            problem=str(error),
        )
        return []
    _log.info("Faults are on.", path=str(path), rules=len(rules))
    return rules


def _read_deaths(deaths: Path, rules: Path) -> Counter[int]:
    """How often the emulator died of each rule since the file of rules was written."""
    try:
        if deaths.stat().st_mtime_ns < rules.stat().st_mtime_ns:
            deaths.unlink()
            return Counter()
        return Counter(int(line) for line in deaths.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return Counter()


def _fault(rule: FaultRule, number: int) -> Fault:
    if rule.code is None:
        code = None
    elif isinstance(rule.code, str):
        code = codes.BY_NAME[rule.code]
    else:
        code = codes.for_http_status(rule.code)
    return Fault(
        code=code,
        reason=rule.reason,
        delay_seconds=rule.delay_seconds,
        corrupt=rule.corrupt,
        kill=rule.kill,
        is_after=rule.when == "after",
        rule=number,
    )
