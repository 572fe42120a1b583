"""How answers are printed: facts below each other, tables, JSON, durations and times.

What belongs here: printing what is there already. Nothing here asks.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from convergence_orchestration.cli.reporting import console

_MINUTE = 60
_HOUR = 3600
_SECONDS_OF_ISO = 19  # 2026-11-23T08:15:00


def print_json(answer: object) -> None:
    """Print it for programs."""
    typer.echo(json.dumps(answer, indent=2))


def print_facts(facts: Mapping[str, Any], *, as_json: bool, to_person: bool = False) -> None:
    """Print an answer's fields below each other; with `to_person` on standard error."""
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if value is not None and value != "":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            typer.echo(f"{name:<{width}}  {shown}", err=to_person)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, unbroken: Sequence[str] = ()
) -> None:
    """Print rows; `unbroken` names the columns to be copied whole. None is shown as nothing, nothing is markup."""
    from rich.table import Table  # noqa: PLC0415 not for --help
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in unbroken, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)


def moment(iso: str | None) -> str:
    """A UTC time of an answer, to the second."""
    return (iso or "")[:_SECONDS_OF_ISO].replace("T", " ")


def duration(seconds: float) -> str:
    """Seconds in words: 0.4 s, 2 min 5 s, 3 h 12 min."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), _MINUTE)
        return f"{minutes} min {rest} s"
    hours, rest = divmod(round(seconds / _MINUTE), _MINUTE)
    return f"{hours} h {rest} min"


def what_is_next(following: Mapping[str, Any]) -> str:
    """What the platform does next, with its time if there is one."""
    at = following["retry_at"]
    return f"{following['sentence']} At {moment(at)} UTC." if at else str(following["sentence"])
