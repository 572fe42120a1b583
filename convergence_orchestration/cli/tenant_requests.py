"""`convergence tenant requests` and `request`: what was asked for about tenants, and how far it has come.

What belongs here: looking at requests. Batches of them are `tenant_batches.py`.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from convergence_orchestration.cli.asking import REQUESTS, Limit, calls_of, given, segment
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import (
    duration,
    moment,
    print_facts,
    print_json,
    print_table,
    what_is_next,
)
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.request_model import RequestState

_SHOWN = 50
_COLUMNS = ("requested_at", "tenant_id", "kind", "state", "attempt", "request_id", "error_code")
_EVENT_COLUMNS = ("recorded_at", "after", "state", "attempt", "actor", "run_id", "reason")
_FACTS = ("request_id", "tenant_id", "kind", "state", "attempt", "actor", "batch_id")


def list_requests(  # noqa: PLR0913 one for each option
    *,
    tenant_id: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    state: Annotated[
        RequestState | None, typer.Option(case_sensitive=False, help="Only those in this state.")
    ] = None,
    kind: Annotated[
        RequestKind | None, typer.Option(case_sensitive=False, help="Only those of this kind.")
    ] = None,
    batch_id: Annotated[str | None, typer.Option("--batch", help="Only this batch's.")] = None,
    limit: Limit = _SHOWN,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """List requests about tenants, the newest first; no more are fetched than are shown."""
    query = given(tenant_id=tenant_id, state=state, kind=kind, batch_id=batch_id)
    listed = REQUESTS.read(calls_of(data_dir, api_url), limit, query)
    if as_json:
        print_json(listed.found)
    elif listed.found:
        print_table(_COLUMNS, map(_row, listed.found), unbroken=["request_id"])
    else:
        tell("There is no such request." if query else "There are no requests yet.")
    if listed.next_cursor is not None:
        tell(f"There are older ones: --limit {limit * 2} shows more of them.")


def request(
    request_id: Annotated[str, typer.Argument(help="The request's id, req_...")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one request: what was asked for, everything that happened with its durations, and what happens next."""
    found = calls_of(data_dir, api_url).get(f"/admin/tenant-requests/{segment(request_id)}").body
    if as_json:
        print_json(found)
        return
    print_facts(_facts(found), as_json=False)
    typer.echo()
    print_table(_EVENT_COLUMNS, map(_event, found["events"]), unbroken=["run_id"])


def _facts(found: Mapping[str, Any]) -> dict[str, Any]:
    taken = found["durations"]
    return {
        **{name: found[name] for name in _FACTS},
        "asked for": [f"{name}={value}" for name, value in found["parameters"].items() if value != ""],
        "requested_at": moment(found["requested_at"]),
        "updated_at": moment(found["updated_at"]),
        "waited": duration(taken["waited_seconds"]),
        "worked": duration(taken["worked_seconds"]),
        "in all": duration(taken["total_seconds"]),
        "run_url": found["run_url"],
        "error_code": found["error_code"],
        "reason": found["reason"],
        "next": what_is_next(found["next"]),
    }


def _row(found: Mapping[str, Any]) -> list[object]:
    return [moment(found["requested_at"]), *(found.get(column) for column in _COLUMNS[1:])]


def _event(event: Mapping[str, Any]) -> list[object]:
    seconds = event["seconds"]
    after = "" if seconds is None else duration(seconds)
    return [moment(event["recorded_at"]), after, *(event[column] for column in _EVENT_COLUMNS[2:])]
