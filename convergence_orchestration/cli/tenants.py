"""`convergence tenant create`, `list` and `show`: the API's tenants from the command line.

What belongs here: commands, and what of an answer is shown.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir, directory_at
from convergence_orchestration.cli.reporting import console, tell

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.cli.api_calls import ApiCalls

app = typer.Typer(no_args_is_help=True, help="Make tenants and look at them.")

TenantIdArgument = Annotated[
    str, typer.Argument(help="a-z, 0-9 and _, beginning with a letter, 3 to 50 long.")
]
Wait = Annotated[float, typer.Option("--wait", min=0, max=600, help="Seconds to wait for the run.")]
_DEFAULT_WAIT = 60.0
_COLUMNS = ("tenant_id", "state", "plan", "company_name", "dataset_id", "created_at")


@app.command()
def create(  # noqa: PLR0913 one for each option
    tenant_id: TenantIdArgument,
    *,
    plan: Annotated[str, typer.Option(help="STARTER, PROFESSIONAL or SCALE.")] = "STARTER",
    company_name: Annotated[str, typer.Option(help="The company's name.")] = "",
    admin_email: Annotated[str, typer.Option(help="Whom to write to.")] = "",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    wait: Wait = _DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a tenant: its dataset, its tables and its rows, by a Dagster run."""
    body = {
        "tenant_id": tenant_id,
        "plan": plan,
        "company_name": company_name,
        "admin_email": admin_email,
        "description": description,
    }
    answer = calls_of(data_dir, api_url, wait).post("/admin/tenants", body)
    print_facts(answer.body, as_json=as_json)
    if answer.is_pending:
        tell(f"It is still being made: convergence tenant show {tenant_id}")


@app.command("list")
def list_tenants(
    *, data_dir: DataDir = DEFAULT_DATA_DIR, api_url: ApiUrl = None, as_json: AsJson = False
) -> None:
    """List all tenants, ordered by id."""
    tenants = _all_tenants(calls_of(data_dir, api_url))
    if as_json:
        typer.echo(json.dumps(tenants, indent=2))
        return
    if not tenants:
        tell("There are no tenants yet: convergence tenant create TENANT_ID makes one.")
        return
    from rich.table import Table  # noqa: PLC0415 not for --help
    from rich.text import Text  # noqa: PLC0415

    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for tenant in tenants:
        table.add_row(*(Text(str(tenant.get(column) or "")) for column in _COLUMNS))
    console().print(table)


@app.command()
def show(
    tenant_id: TenantIdArgument,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one tenant."""
    print_facts(calls_of(data_dir, api_url).get(f"/admin/tenants/{segment(tenant_id)}").body, as_json=as_json)


def calls_of(data_dir: "Path", api_url: str | None, wait_seconds: float = _DEFAULT_WAIT) -> "ApiCalls":
    """The calls of the API that the options name."""
    from convergence_orchestration.cli.access import access_to  # noqa: PLC0415 not for --help
    from convergence_orchestration.cli.api_calls import ApiCalls  # noqa: PLC0415

    return ApiCalls(access_to(directory_at(data_dir), api_url), wait_seconds)


def segment(text: str) -> str:
    """`text` as one segment of a path, whatever is in it."""
    from urllib.parse import quote  # noqa: PLC0415

    return quote(text, safe="")


def print_facts(facts: Mapping[str, Any], *, as_json: bool, to_person: bool = False) -> None:
    """Print an answer's fields below each other; with `to_person` on standard error."""
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if value is not None and value != "":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            typer.echo(f"{name:<{width}}  {shown}", err=to_person)


def _all_tenants(calls: "ApiCalls") -> list[dict[str, Any]]:
    tenants: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    while True:
        page = calls.get("/admin/tenants", limit="200", **query).body
        tenants += page["tenants"]
        if page["next_after"] is None:
            return tenants
        query = {"after": page["next_after"]}
