"""`convergence tenant create`, `list` and `show`: the API's tenants from the command line.

What belongs here: making tenants and looking at them. Changing one is `tenant_changes.py`, many at once `tenant_import.py`.
"""

import shlex
from typing import Annotated, Any

import typer

from convergence_orchestration.cli.asking import (
    DEFAULT_WAIT,
    TENANTS,
    Limit,
    Wait,
    calls_of,
    given,
    line_to_type,
    segment,
)
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import moment, print_facts, print_json, print_table
from convergence_orchestration.tenancy.model import Plan, TenantState

TenantIdArgument = Annotated[
    str, typer.Argument(help="a-z, 0-9 and _, beginning with a letter, 3 to 50 long.")
]
_COLUMNS = ("tenant_id", "state", "plan", "company_name", "dataset_id", "created_at")
_SHOWN = 50


def create(  # noqa: PLR0913 one for each option
    tenant_id: TenantIdArgument,
    *,
    plan: Annotated[Plan, typer.Option(help="What it pays for.")] = Plan.STARTER,
    company_name: Annotated[str, typer.Option(help="The company's name.")] = "",
    admin_email: Annotated[str, typer.Option(help="Whom to write to.")] = "",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    principal: Annotated[
        str,
        typer.Option(
            help="Who may read and write its dataset in BigQuery itself: serviceAccount:, user: or group: and an address."
        ),
    ] = "",
    idempotency_key: Annotated[
        str | None, typer.Option(help="Sent again with the same key it is the same request.")
    ] = None,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant: its dataset, its tables and its rows, by a Dagster run. It has no key yet: convergence key issue.

    The request is written down first: if the waiting ends or is interrupted, the tenant is made all the same. An id that
    is taken is refused, and nothing of the tenant that has it changes.
    """
    body = given(
        tenant_id=tenant_id,
        plan=plan,
        company_name=company_name,
        admin_email=admin_email,
        description=description,
        principal=principal,
    )
    answer = calls_of(data_dir, api_url, wait).post("/admin/tenants", body, idempotency_key)
    print_facts(answer.body, as_json=as_json)
    if answer.is_pending:
        look = line_to_type(f"tenant request {answer.body['request_id']}", data_dir, api_url)
        tell(f"It is still being made: {look}")


def list_tenants(  # noqa: PLR0913 one for each option
    *,
    state: Annotated[
        TenantState | None, typer.Option(case_sensitive=False, help="Only those in this state.")
    ] = None,
    plan: Annotated[Plan | None, typer.Option(case_sensitive=False, help="Only those of this plan.")] = None,
    search: Annotated[str | None, typer.Option(help="A part of the id or of the company's name.")] = None,
    after: Annotated[str | None, typer.Option(help="Only ids behind this one.")] = None,
    limit: Limit = _SHOWN,
    all_of_them: Annotated[bool, typer.Option("--all", help="However many there are.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """List tenants, ordered by id; no more are fetched than are shown."""
    chosen = given(state=state, plan=plan, search=search)
    listed = TENANTS.read(
        calls_of(data_dir, api_url), None if all_of_them else limit, chosen | given(after=after)
    )
    if as_json:
        print_json(listed.found)
    elif listed.found:
        print_table(_COLUMNS, map(_row, listed.found), unbroken=["tenant_id"])
    elif chosen or after:
        tell("No tenant is like that.")
    else:
        tell("There are no tenants yet: convergence tenant create TENANT_ID makes one.")
    if listed.next_cursor is not None:
        options = "".join(f" --{name} {shlex.quote(value)}" for name, value in chosen.items())
        words = f"tenant list{options} --after {listed.next_cursor} --limit {limit}"
        tell(f"There are more: {line_to_type(words, data_dir, api_url)}, or --all.")


def show(
    tenant_id: TenantIdArgument,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one tenant: its state and why, its plan, its dataset, and when it is deleted if it is on its way out."""
    print_facts(calls_of(data_dir, api_url).get(f"/admin/tenants/{segment(tenant_id)}").body, as_json=as_json)


def _row(tenant: dict[str, Any]) -> list[object]:
    return [*(tenant.get(column) for column in _COLUMNS[:-1]), moment(tenant.get("created_at"))]
