"""What commands share that ask the API: which API, how long to wait, how to read pages.

What belongs here: the asking. What is printed of an answer is `showing.py`, the HTTP is `api_calls.py`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convergence_orchestration.cli.options import directory_at, flag_for

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.cli.api_calls import ApiCalls

DEFAULT_WAIT = 60.0
_MOST_IN_A_PAGE = 200

Wait = Annotated[float, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the run.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many to show.")]


@dataclass(frozen=True)
class Listed:
    """What was asked for, and where more begins; None if there is no more."""

    found: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True)
class Pages:
    """A path that answers in pages: `items` and the cursor `after` or `before`, of which `next_...` is the next one."""

    path: str
    items: str
    cursor: str

    def read(self, calls: "ApiCalls", most: int | None, query: Mapping[str, str]) -> Listed:
        """The first `most`, or all if it is None; no more than these are fetched."""
        found: list[dict[str, Any]] = []
        asked = dict(query)
        while True:
            limit = _MOST_IN_A_PAGE if most is None else min(_MOST_IN_A_PAGE, most - len(found))
            page = calls.get(self.path, limit=str(limit), **asked).body
            found += page[self.items]
            following = page[f"next_{self.cursor}"]
            if following is None or (most is not None and len(found) >= most):
                return Listed(found, following)
            asked[self.cursor] = following


TENANTS = Pages("/admin/tenants", "tenants", "after")
REQUESTS = Pages("/admin/tenant-requests", "requests", "before")
AUDIT = Pages("/admin/audit", "rows", "before")


def calls_of(data_dir: "Path", api_url: str | None, wait_seconds: float = DEFAULT_WAIT) -> "ApiCalls":
    """The calls of the API that the options name."""
    from convergence_orchestration.cli.access import access_to  # noqa: PLC0415 not for --help
    from convergence_orchestration.cli.api_calls import ApiCalls  # noqa: PLC0415

    return ApiCalls(access_to(directory_at(data_dir), api_url), wait_seconds)


def segment(text: str) -> str:
    """`text` as one segment of a path, whatever is in it."""
    from urllib.parse import quote  # noqa: PLC0415

    return quote(text, safe="")


def given(**options: object) -> dict[str, str]:
    """The options that were given, as a query or a part of a body."""
    return {name: str(value) for name, value in options.items() if value is not None and value != ""}


def line_to_type(words: str, data_dir: "Path", api_url: str | None) -> str:
    """`convergence WORDS` for the person to type next, so that it meets the same API."""
    import shlex  # noqa: PLC0415

    is_typed = api_url is not None and api_url != os.environ.get("API_URL")
    target = f" --api-url {shlex.quote(str(api_url))}" if is_typed else flag_for(data_dir)
    return f"convergence {words}{target}"
