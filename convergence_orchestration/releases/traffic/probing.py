"""Probing revisions on their tags, and adding the answers up.

What belongs here: one probe, all of them at once, and the tally of a stage. What a tally means is findings.py.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import httpx

from convergence_orchestration.releases.evidence import Probes
from convergence_orchestration.releases.model import RevisionName

PATH = "/health"
_AT_ONCE = 8
_LONGEST_REASON = 200


class Answer(StrEnum):
    """How a probe ended."""

    OK = "OK"
    FAILED = "FAILED"
    """The revision answered wrongly, or not in time."""
    UNKNOWN = "UNKNOWN"
    """Nobody was reached: that says nothing about the revision."""


@dataclass(frozen=True)
class Probe:
    """One probe and, unless it was answered, why not."""

    answer: Answer
    why: str = ""


def probe(http: httpx.Client, uri: str) -> Probe:
    """Ask for `/health` there; as long as the client's timeout."""
    try:
        status = http.get(f"{uri}{PATH}").status_code
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return Probe(Answer.UNKNOWN, f"not reached: {type(error).__name__}")
    except httpx.TimeoutException:
        return Probe(Answer.FAILED, "timed out")
    except httpx.HTTPError as error:
        return Probe(Answer.FAILED, type(error).__name__)
    if httpx.codes.is_success(status):
        return Probe(Answer.OK)
    return Probe(Answer.FAILED, f"answered {status}")


def probe_all(http: httpx.Client, uris: Mapping[RevisionName, str]) -> dict[RevisionName, Probe]:
    """All of them at once, so that one that hangs does not delay the others."""
    if not uris:
        return {}
    with ThreadPoolExecutor(min(len(uris), _AT_ONCE)) as threads:
        found = threads.map(lambda uri: probe(http, uri), uris.values())
    return dict(zip(uris, found, strict=True))


type Tallies = Mapping[RevisionName, Probes]


def tallied(before: Tallies, found: Mapping[RevisionName, Probe]) -> dict[RevisionName, Probes]:
    """The tallies with one more probe of each revision that was probed."""
    return {**before, **{name: _one_more(before.get(name, Probes()), one) for name, one in found.items()}}


def to_json(tallies: Tallies) -> dict[str, Any]:
    """Tallies for a sensor's cursor."""
    return {
        name: [one.ok, one.failed, one.unknown, one.failed_in_a_row, one.last_failure]
        for name, one in tallies.items()
    }


def from_json(kept: Mapping[str, Any]) -> dict[RevisionName, Probes]:
    """What `to_json` made."""
    return {RevisionName(name): Probes(*numbers) for name, numbers in kept.items()}


def _one_more(before: Probes, one: Probe) -> Probes:
    if one.answer is Answer.OK:
        return replace(before, ok=before.ok + 1, failed_in_a_row=0)
    if one.answer is Answer.UNKNOWN:
        return replace(before, unknown=before.unknown + 1)
    return replace(
        before,
        failed=before.failed + 1,
        failed_in_a_row=before.failed_in_a_row + 1,
        last_failure=one.why[:_LONGEST_REASON],
    )
