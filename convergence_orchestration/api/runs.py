"""What Dagster's GraphQL answers say about one run, as values.

What belongs here: reading those answers (pure functions over JSON). What does not: asking, which is
`dagster_client.py`, and what a caller of the API is told, which each route decides.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from convergence_orchestration.errors import (
    TRANSIENT_CODES,
    ConvergenceError,
    ErrorCode,
    PermanentError,
    TransientError,
)

RunId = NewType("RunId", str)

_TRANSIENT = f"{TransientError.__module__}.{TransientError.__qualname__}: "
_VALUE_FIELDS = ("text", "url", "path", "mdStr", "floatValue", "boolValue", "timestamp")


class RunStatus(StrEnum):
    """Dagster's run statuses, and UNKNOWN for a run which Dagster could not be asked about."""

    QUEUED = "QUEUED"
    NOT_STARTED = "NOT_STARTED"
    MANAGED = "MANAGED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    SUSPENDED = "SUSPENDED"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_finished(self) -> bool:
        """Nothing more happens in this run."""
        return self in {RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.CANCELED}


@dataclass(frozen=True)
class Materialization:
    """One asset materialization: its key's parts, its partition and its metadata as label -> value."""

    asset_key: tuple[str, ...]
    partition: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed; the message's first sentence says what to do."""

    code: ErrorCode
    message: str
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOutcome:
    """A run as it was when last looked at; `failure` is set if it ended without success."""

    run_id: RunId
    status: RunStatus
    failure: RunFailure | None = None
    materializations: tuple[Materialization, ...] = ()

    def error(self, run_url: str) -> ConvergenceError | None:
        """The failure as an error which names the run; None unless the run ended without success."""
        if self.failure is None:
            return None
        details = {**self.failure.details, "run_id": self.run_id, "run_url": run_url}
        kind = TransientError if self.failure.code in TRANSIENT_CODES else PermanentError
        return kind(self.failure.code, self.failure.message, details)


CANCELED = RunFailure(
    ErrorCode.UNAVAILABLE,
    "Send the request again: somebody cancelled its run in Dagster before it had ended.",
)
ENDED_WITHOUT_REASON = RunFailure(
    ErrorCode.UNAVAILABLE,
    "Send the request again: its run ended without giving a reason, see the run in Dagster.",
)


def materialization(event: Mapping[str, Any]) -> Materialization:
    """One element of `assetMaterializations`."""
    key = event.get("assetKey") or {}
    return Materialization(
        tuple(key.get("path", ())), event.get("partition"), metadata(event.get("metadataEntries", ()))
    )


def metadata(entries: Iterable[Mapping[str, Any]]) -> dict[str, object]:
    """Metadata entries as label -> value; a kind which has no plain value here gives None."""
    return {entry["label"]: _value(entry) for entry in entries}


def failure(events: Iterable[Mapping[str, Any]]) -> RunFailure | None:
    """The first step's failure among a run's events, else the run's own, else None."""
    of_the_run: RunFailure | None = None
    for event in events:
        if event["__typename"] == "ExecutionStepFailureEvent":
            return _step_failure(event)
        if event["__typename"] == "RunFailureEvent":
            of_the_run = _run_failure(event)
    return of_the_run


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _value(entry: Mapping[str, Any]) -> object:
    if "jsonString" in entry:
        return json.loads(entry["jsonString"])
    if "intRepr" in entry:
        return int(entry["intRepr"])
    return next((entry[name] for name in _VALUE_FIELDS if name in entry), None)


def _step_failure(event: Mapping[str, Any]) -> RunFailure:
    declared = event.get("failureMetadata") or {}
    facts = metadata(declared.get("metadataEntries") or ())
    code = facts.get("code")
    if isinstance(code, str) and code in ErrorCode:
        details = facts.get("details")
        message = declared.get("description") or event.get("message") or ""
        return RunFailure(ErrorCode(code), first_line(message), details if isinstance(details, dict) else {})
    step = event.get("stepKey")
    return RunFailure(
        ErrorCode.INTERNAL,
        f"Report this defect with the run's link: step {step} failed with {_reason(event.get('error'))}",
    )


def _run_failure(event: Mapping[str, Any]) -> RunFailure:
    if message := _of_ours_that_may_pass(event.get("error")):
        return RunFailure(ErrorCode.UNAVAILABLE, message)
    if event.get("error"):
        return RunFailure(
            ErrorCode.INTERNAL,
            f"Look at the run in Dagster: it failed before its first step: {_reason(event['error'])}",
        )
    reason = first_line(event.get("message") or "")
    return RunFailure(ErrorCode.UNAVAILABLE, f"Send the request again: its run died. {reason}".strip())


def _of_ours_that_may_pass(error: Mapping[str, Any] | None) -> str | None:
    """What a TransientError outside of all steps says, for example that a run's audit row could not be written."""
    _, is_ours, message = str((error or {}).get("message")).partition(_TRANSIENT)
    return first_line(message) if is_ours else None


def _reason(error: Mapping[str, Any] | None) -> str:
    """The first line of what our code raised: the outermost error that is not Dagster's own wrapping."""
    while error and _is_wrapping(error) and error.get("cause"):
        error = error["cause"]
    return first_line((error or {}).get("message") or "no reason given.")


def _is_wrapping(error: Mapping[str, Any]) -> bool:
    return str(error.get("message")).startswith("dagster")
