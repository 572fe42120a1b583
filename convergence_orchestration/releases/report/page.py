"""The report of a release as text: one HTML page, and the same as Markdown for Dagster's catalogue.

What belongs here: words and tables from a `Story`. Whatever people wrote is escaped.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from convergence_orchestration.releases.model import ReleaseEvent
from convergence_orchestration.releases.report.story import Story

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{border-bottom:1px solid #ddd;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}th{background:#f4f4f4}img{max-width:100%}code{font-size:90%}"
)
_MARKDOWN_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\`*_{}[]<>|#"} | {"\n": " "})


def facts(story: Story) -> list[tuple[str, str]]:
    """Who, what and how it ended, a line each."""
    started = story.events[0]
    return [
        ("release", story.release_id),
        ("state", story.state),
        ("service", f"{story.service} ({story.environment})"),
        ("asked for by", started.actor or "unknown"),
        ("what for", started.reason or "no reason given"),
        ("began", _moment(story.began_at)),
        ("ended", _moment(story.ended_at) if story.ended_at else "not yet"),
        ("revision", story.revision or "none"),
        ("stable revision", story.stable or "none"),
        ("image", story.image or "unknown"),
        (
            "requests harmed",
            str(story.harm) if story.was_measured else "unknown: the meters could not be read",
        ),
    ]


def markdown(story: Story, picture: bytes | None = None) -> str:
    """The page as Markdown, with the picture in it."""
    lines = [f"# Release {_md(story.release_id)}: {_md(story.state)}", ""]
    lines += [f"- **{name}**: {_md(value)}" for name, value in facts(story)]
    if picture is not None:
        lines += ["", f"![traffic, errors and latency over time]({data_uri(picture)})"]
    lines += ["", "## Answers", "", *_table(_FIGURES, _figure_rows(story))]
    lines += ["", "## What happened", "", *_table(_EVENTS, _event_rows(story))]
    return "\n".join(lines)


def html(story: Story, picture: bytes | None = None) -> str:
    """The page as HTML that needs nothing else."""
    listed = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts(story)
    )
    image = f'<img alt="traffic, errors and latency over time" src="{data_uri(picture)}">' if picture else ""
    title = f"Release {escape(story.release_id)}: {escape(story.state)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1><table>{listed}</table>{image}<h2>Answers</h2>{_html_table(_FIGURES, _figure_rows(story))}"
        f"<h2>What happened</h2>{_html_table(_EVENTS, _event_rows(story))}</body></html>\n"
    )


def data_uri(picture: bytes) -> str:
    """A PNG inside a page."""
    return f"data:image/png;base64,{b64encode(picture).decode('ascii')}"


_FIGURES = ("revision", "requests", "errors", "errors, %", "given up", "p95, ms", "p99, ms")
_EVENTS = ("mark", "when", "what", "%", "verdict", "who", "why")


def _figure_rows(story: Story) -> list[list[str]]:
    return [
        [
            one.revision + (" (candidate)" if one.revision == story.revision else ""),
            str(one.requests),
            str(one.errors),
            f"{100 * one.errors / one.requests:.2f}" if one.requests else "-",
            str(one.given_up),
            "-" if one.p95_ms is None else f"{one.p95_ms:.0f}",
            "-" if one.p99_ms is None else f"{one.p99_ms:.0f}",
        ]
        for one in story.figures
    ]


def _event_rows(story: Story) -> list[list[str]]:
    marks = {event.event_id: str(number) for number, event in enumerate(story.decisions, start=1)}
    return [_event_row(event, marks.get(event.event_id, "")) for event in story.events]


def _event_row(event: ReleaseEvent, mark: str) -> list[str]:
    return [
        mark,
        _moment(event.recorded_at),
        event.kind.value,
        "" if event.traffic_percent is None else str(event.traffic_percent),
        event.verdict.value if event.verdict is not None else "",
        event.actor,
        event.reason,
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(map(_md, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |", *body]


def _html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def _md(text: str) -> str:
    return text.translate(_MARKDOWN_SPECIAL)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
