"""Running a suite: its cases one after the other, each result told as it comes, and leaving nothing behind.

What belongs here: which suites there are, and what becomes of an exception. What is expected is in the suites' own files.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import httpx

from convergence_orchestration.releases.answering import client
from convergence_orchestration.suites import local, production, staging
from convergence_orchestration.suites.model import (
    Case,
    CaseResult,
    ExpectationError,
    Outcome,
    SuiteReport,
    Target,
)
from convergence_orchestration.suites.visiting import PATIENCE_SECONDS, Visit, refuse_writes


class SuiteName(StrEnum):
    """The guide's suites."""

    LOCAL = "local"
    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Suite:
    """A suite's cases, and whether it only reads."""

    cases: tuple[Case[Visit], ...]
    only_reads: bool = False


SUITES: Mapping[SuiteName, Suite] = {
    SuiteName.LOCAL: Suite(local.CASES),
    SuiteName.STAGING: Suite(staging.CASES),
    SuiteName.PRODUCTION: Suite(production.CASES, only_reads=True),
}


def run(
    name: SuiteName,
    target: Target,
    clock: Callable[[], datetime],
    told: Callable[[CaseResult], None] = lambda _: None,
) -> SuiteReport:
    """What came of the suite against `target`; `told` hears of each case when it has ended.

    A case whose expectation does not hold has FAILED; whatever else goes wrong is an ERROR, and the next case begins.
    """
    suite, started_at = SUITES[name], clock()
    with client(target.authority_file, PATIENCE_SECONDS + 10) as http:
        if suite.only_reads:
            http.event_hooks["request"].append(refuse_writes)
        visit = Visit(target, http)
        try:
            results = tuple(_told(suite.cases, visit, told))
        finally:
            left_behind = visit.leave()
    return SuiteReport(name, target.url, started_at, results, left_behind)


def _told(
    cases: Iterable[Case[Visit]], visit: Visit, told: Callable[[CaseResult], None]
) -> Iterable[CaseResult]:
    for case in cases:
        result = _result(case, visit)
        told(result)
        yield result


def _result(case: Case[Visit], visit: Visit) -> CaseResult:
    began = time.monotonic()
    outcome, detail = _tried(case, visit)
    return CaseResult(case.number, case.name, case.slug, outcome, time.monotonic() - began, detail)


def _tried(case: Case[Visit], visit: Visit) -> tuple[Outcome, str]:
    try:
        case.check(visit)
    except ExpectationError as error:
        return Outcome.FAILED, str(error)
    except httpx.ConnectError as error:  # before anything was sent: the text is the system's, or TLS's
        return Outcome.ERROR, f"{visit.target.url} could not be reached: {error}."
    except httpx.HTTPError as error:
        return Outcome.ERROR, f"{visit.target.url} did not answer: {type(error).__name__}."
    except Exception as error:  # noqa: BLE001 an answer that nobody foresaw; its text may hold what it was asked with
        return Outcome.ERROR, f"An answer could not be understood: {type(error).__name__}."
    return Outcome.PASSED, ""
