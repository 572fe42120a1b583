"""`convergence key list` and `show`: looking at tenants' keys, which shows no key.

What belongs here: the two commands. What changes keys is `tenant_keys.py`.
"""

import shlex
from typing import Annotated, Any

import typer

from convergence_orchestration.cli.asking import Limit, Pages, calls_of, given, line_to_type, segment
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import moment, print_facts, print_json, print_table
from convergence_orchestration.cli.tenant_keys import KeyIdArgument
from convergence_orchestration.keys.states import KeyState

KEYS = Pages("/admin/api-keys", "keys", "before")
_COLUMNS = ("key_id", "tenant_id", "state", "scopes", "issued_at", "last_used_at", "ends_at", "description")
_SHOWN = 50


def list_keys(  # noqa: PLR0913 one for each option
    *,
    tenant_id: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    state: Annotated[
        KeyState | None, typer.Option(case_sensitive=False, help="Only those in this state.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only keys behind this place.")] = None,
    limit: Limit = _SHOWN,
    all_of_them: Annotated[bool, typer.Option("--all", help="However many there are.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """List keys, the newest first; no more are fetched than are shown."""
    most = None if all_of_them else limit
    chosen = given(tenant_id=tenant_id, state=state)
    listed = KEYS.read(calls_of(data_dir, api_url), most, chosen | given(before=before))
    if as_json:
        print_json(listed.found)
    elif listed.found:
        print_table(_COLUMNS, map(_row, listed.found), unbroken=["key_id"])
    elif chosen or before:
        tell("No key is like that.")
    else:
        tell("There are no keys yet: convergence key issue TENANT_ID makes one.")
    if listed.next_cursor is not None:
        options = "".join(
            f" --{name} {shlex.quote(value)}" for name, value in given(tenant=tenant_id, state=state).items()
        )
        words = f"key list{options} --before {listed.next_cursor} --limit {limit}"
        tell(f"There are more: {line_to_type(words, data_dir, api_url)}, or --all.")


def show(
    key_id: KeyIdArgument,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show one key: its state, its scopes, when it ends and what replaces it. The key itself is kept nowhere."""
    print_facts(calls_of(data_dir, api_url).get(f"/admin/api-keys/{segment(key_id)}").body, as_json=as_json)


def _row(key: dict[str, Any]) -> list[object]:
    times = {name: moment(key.get(name)) for name in ("issued_at", "last_used_at", "ends_at")}
    return [({**key, **times, "scopes": ", ".join(key.get("scopes", ()))}).get(name) for name in _COLUMNS]
