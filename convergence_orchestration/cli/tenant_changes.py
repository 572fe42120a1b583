"""`convergence tenant plan`, `suspend`, `resume` and `offboard`: what happens to a tenant that is there.

What belongs here: commands, and asking the person before a tenant leaves.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.asking import (
    DEFAULT_WAIT,
    Wait,
    calls_of,
    given,
    line_to_type,
    segment,
)
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import print_facts
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import DEFAULT_RETENTION_DAYS, MAX_RETENTION_DAYS
from convergence_orchestration.tenancy.model import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.cli.api_calls import Answer, ApiCalls

ATenant = Annotated[str, typer.Argument(help="The tenant's id.")]
Reason = Annotated[str, typer.Option(help="Why, for whoever looks later.")]


def plan(
    tenant_id: ATenant,
    plan: Annotated[Plan, typer.Argument(help="The plan it is to have.")],
    *,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give a tenant another plan: its quotas and limits count from its next calls on. Its tables stay as they are."""
    answer = calls_of(data_dir, api_url, wait).put(f"{_path(tenant_id)}/plan", {"plan": str(plan)})
    _print_change(answer, data_dir, api_url, as_json=as_json)


def suspend(
    tenant_id: ATenant,
    *,
    reason: Reason = "",
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a tenant's calls (403) until it is resumed. Its keys, its tables and its plan stay."""
    answer = calls_of(data_dir, api_url, wait).post(f"{_path(tenant_id)}/suspend", given(reason=reason))
    _print_change(answer, data_dir, api_url, as_json=as_json)


def resume(
    tenant_id: ATenant,
    *,
    reason: Reason = "",
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Accept a tenant's calls again, after a suspension or on its way out. Keys that were revoked stay revoked.

    A tenant whose dataset has been deleted cannot be resumed.
    """
    answer = calls_of(data_dir, api_url, wait).post(f"{_path(tenant_id)}/resume", given(reason=reason))
    _print_change(answer, data_dir, api_url, as_json=as_json)


def offboard(  # noqa: PLR0913 one for each option
    tenant_id: ATenant,
    *,
    confirm: Annotated[
        str | None, typer.Option(help="The tenant's id once more; asked for on a terminal if left out.")
    ] = None,
    reason: Reason = "",
    take_snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Copy every table to snapshots first.")
    ] = False,
    retention_days: Annotated[
        int, typer.Option(min=0, max=MAX_RETENTION_DAYS, help="Days until its dataset is deleted.")
    ] = DEFAULT_RETENTION_DAYS,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let a tenant leave: refuse its calls at once, revoke its keys, delete its dataset after the retention period.

    Until then `convergence tenant resume` takes it back. Afterwards nothing does, and its id is never given again.
    """
    calls = calls_of(data_dir, api_url, wait)
    if confirm is None:
        confirm = _typed_confirmation(calls, tenant_id, retention_days, take_snapshot=take_snapshot)
    _require_same(tenant_id, confirm)
    query = given(confirm=confirm, reason=reason, retention_days=retention_days)
    if take_snapshot:
        query["take_snapshot"] = "true"
    answer = calls.delete(_path(tenant_id), **query)
    _print_change(answer, data_dir, api_url, as_json=as_json)


def _typed_confirmation(
    calls: "ApiCalls", tenant_id: str, retention_days: int, *, take_snapshot: bool
) -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"give --confirm {tenant_id}: without a terminal nobody can be asked. Nothing was changed.",
            param_hint="--confirm",
        )
    tenant = calls.get(_path(tenant_id)).body
    delete_after = datetime.now(UTC) + timedelta(days=retention_days)
    tell(f"{tenant_id} ({tenant['company_name'] or 'no company'}) is {tenant['state']}, {tenant['plan']}.")
    tell("\n".join(what_will_happen(delete_after, take_snapshot=take_snapshot)))
    typed: str = typer.prompt(f"Type {tenant_id} to go on", default="", show_default=False, err=True)
    return typed


def what_will_happen(delete_after: datetime, *, take_snapshot: bool) -> list[str]:
    """What offboarding does, a line each."""
    snapshot = ["  - its tables are copied to snapshots"] if take_snapshot else []
    return [
        "  - its calls are refused from now on",
        "  - its keys are revoked, also if it is resumed later",
        *snapshot,
        f"  - its dataset is deleted after {delete_after:%Y-%m-%d %H:%M} UTC; until then it can be resumed",
        "  - its id is never given again",
    ]


def _require_same(tenant_id: str, confirm: str) -> None:
    if confirm != tenant_id:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Confirm with {tenant_id} to offboard it: that was another text. Nothing was changed.",
        )


def _print_change(answer: "Answer", data_dir: "Path", api_url: str | None, *, as_json: bool) -> None:
    print_facts(answer.body, as_json=as_json)
    if answer.is_pending:
        look = line_to_type(f"tenant request {answer.body['request_id']}", data_dir, api_url)
        tell(f"It is still being changed: {look}")
    elif answer.body.get("run_id") is None and not as_json:
        tell("Nothing was left to do: it was so already.")


def _path(tenant_id: str) -> str:
    return f"/admin/tenants/{segment(tenant_id)}"
