"""A small picture of what probes found lately: a line for each target, a colour for each status.

What belongs here: drawing it as SVG, by hand: a round of probes every minute must not pay for a drawing library.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape

from convergence_orchestration.health.model import ProbeResult, ProbeStatus

COLOURS = {
    ProbeStatus.HEALTHY: "#2e9e5b",
    ProbeStatus.UNHEALTHY: "#c22f3d",
    ProbeStatus.UNKNOWN: "#d9a21b",
}
_LINE, _LABEL, _WIDTH, _FOOT = 14, 430, 480, 16
_LONGEST_GAP = timedelta(minutes=2)
"""A result counts until the next one, but no longer than this: nobody looked then."""
_LONGEST_LABEL = 70

type Lines = Mapping[str, Sequence[ProbeResult]]


def strips(results: Iterable[ProbeResult], start: datetime, end: datetime) -> str:
    """The SVG of everything that was found between two moments."""
    lines = lines_of(results)
    height = _LINE * len(lines) + _FOOT
    drawn = "".join(
        _strip(number, name, found, start, end) for number, (name, found) in enumerate(lines.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11">{drawn}'
        f'<text x="{_LABEL}" y="{height - 4}">{start:%H:%M}</text>'
        f'<text x="{_LABEL + _WIDTH}" y="{height - 4}" text-anchor="end">{end:%H:%M} UTC</text></svg>'
    )


def data_uri(svg: str) -> str:
    """The picture inside a page."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode('ascii')}"


def lines_of(results: Iterable[ProbeResult]) -> dict[str, list[ProbeResult]]:
    """What was found of each target, in order of time, by a name for people, sorted."""
    lines: dict[str, list[ProbeResult]] = {}
    for result in sorted(results, key=lambda one: one.at):
        lines.setdefault(f"{result.environment} {result.probe} {result.target}", []).append(result)
    return dict(sorted(lines.items()))


def _strip(number: int, name: str, found: Sequence[ProbeResult], start: datetime, end: datetime) -> str:
    top = number * _LINE
    label = name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"
    bars = "".join(
        _bar(top, status, begins, ends, (start, end)) for status, begins, ends in spans(found, end)
    )
    return f'<text x="0" y="{top + 11}">{escape(label)}</text>{bars}'


def spans(found: Sequence[ProbeResult], end: datetime) -> list[tuple[ProbeStatus, datetime, datetime]]:
    """Stretches of one status; results that follow each other and say the same are one."""
    merged: list[tuple[ProbeStatus, datetime, datetime]] = []
    following = [*(result.at for result in found[1:]), end]
    for result, until in zip(found, following, strict=True):
        ends = min(until, result.at + _LONGEST_GAP)
        if merged and merged[-1][0] is result.status and merged[-1][2] == result.at:
            merged[-1] = (result.status, merged[-1][1], ends)
        else:
            merged.append((result.status, result.at, ends))
    return merged


def _bar(
    top: int, status: ProbeStatus, begins: datetime, ends: datetime, shown: tuple[datetime, datetime]
) -> str:
    left, right = (_place(moment, *shown) for moment in (begins, ends))
    return (
        f'<rect x="{left:.1f}" y="{top + 2}" width="{max(1.0, right - left):.1f}" height="{_LINE - 4}" '
        f'fill="{COLOURS[status]}"/>'
    )


def _place(moment: datetime, start: datetime, end: datetime) -> float:
    share = (moment - start) / (end - start)
    return _LABEL + _WIDTH * min(1.0, max(0.0, share))
