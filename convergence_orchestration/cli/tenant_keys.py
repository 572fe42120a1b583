"""`convergence key issue`, `reveal` and `revoke`: tenants' keys from the command line.

What belongs here: commands. A key goes to standard output alone, so that it can be piped; all else goes to standard error.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from convergence_orchestration.cli.asking import DEFAULT_WAIT, Wait, calls_of, segment
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import ExitStatus, tell
from convergence_orchestration.cli.showing import print_facts

app = typer.Typer(no_args_is_help=True, help="Issue tenants' keys and revoke them.")


@app.command()
def issue(  # noqa: PLR0913 one for each option
    tenant_id: Annotated[str, typer.Argument(help="An ACTIVE tenant.")],
    *,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope; may be repeated; all if left out.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="ISO 8601 with its offset; never if left out.")
    ] = None,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key: the key alone on standard output, the facts about it on standard error."""
    body: dict[str, object] = {"tenant_id": tenant_id, "description": description}
    if scope:
        body["scopes"] = scope
    if expires_at:
        body["expires_at"] = expires_at
    answer = calls_of(data_dir, api_url, wait).post("/admin/api-keys", body)
    if answer.is_pending:
        print_facts(answer.body, as_json=as_json, to_person=True)
        tell(f"Fetch the key when the run has ended: convergence key reveal {answer.body['key_id']}")
        raise typer.Exit(ExitStatus.FAILED)
    _hand_over(answer.body, as_json=as_json)


@app.command()
def reveal(
    key_id: Annotated[str, typer.Argument(help="The key's id, key_...")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a key that a run has issued; that can be done once."""
    answer = calls_of(data_dir, api_url).post(f"/admin/api-keys/{segment(key_id)}/reveal")
    _hand_over(answer.body, as_json=as_json)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id or its SHA-256, never the key itself.")],
    *,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on."""
    query = {"reason": reason} if reason else {}
    answer = calls_of(data_dir, api_url, wait).delete(f"/admin/api-keys/{segment(key)}", **query)
    print_facts(answer.body, as_json=as_json)


def _hand_over(body: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(body, indent=2))
        return
    facts = {name: value for name, value in body.items() if name != "api_key"}
    print_facts(facts, as_json=False, to_person=True)
    tell("Keep the key now: it is not shown again.")
    typer.echo(body["api_key"])
