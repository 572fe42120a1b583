"""`convergence key issue`, `rotate`, `reveal`, `revoke`, `revoke-all`: tenants' keys from the command line.

What belongs here: commands that change something. A key goes to standard output alone, so that it can be piped; all else
goes to standard error. Looking at keys is `key_listing.py`.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convergence_orchestration.cli.asking import DEFAULT_WAIT, Wait, calls_of, given, segment
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import ExitStatus, tell
from convergence_orchestration.cli.showing import print_facts

if TYPE_CHECKING:
    from convergence_orchestration.cli.api_calls import Answer

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = {"s": 1, "m": _MINUTE, "h": _HOUR, "d": _DAY}

KeyIdArgument = Annotated[str, typer.Argument(help="The key's id, key_...")]
Reason = Annotated[str, typer.Option(help="Why, for the ledger.")]
ScopeOption = Annotated[list[str] | None, typer.Option(help="A scope; may be repeated.")]
ExpiresAt = Annotated[str | None, typer.Option(help="ISO 8601 with its offset; never if left out.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(help="Sent again within ten minutes after the answer, it gets the same key again."),
]


def seconds_of(text: str) -> int:
    """Seconds from `3600`, `90s`, `30m`, `24h` or `7d`."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdecimal()):
        raise typer.BadParameter("give seconds, or a number with s, m, h or d, for example 24h")
    return int(number) * _UNITS[unit]


def issue(  # noqa: PLR0913 one for each option
    tenant_id: Annotated[str, typer.Argument(help="An ACTIVE tenant.")],
    *,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: ScopeOption = None,
    expires_at: ExpiresAt = None,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key: the key alone on standard output, the facts about it on standard error. All scopes if none is named."""
    body: dict[str, object] = {"tenant_id": tenant_id, "description": description}
    body |= given(expires_at=expires_at)
    if scope:
        body["scopes"] = scope
    answer = calls_of(data_dir, api_url, wait).post("/admin/api-keys", body, idempotency_key)
    _hand_over_or_tell_how(answer, as_json=as_json)


def rotate(  # noqa: PLR0913 one for each option
    key_id: KeyIdArgument,
    *,
    grace: Annotated[
        str, typer.Option(help="How long the old key still works: 0, 90s, 30m, 24h, 7d.", show_default=True)
    ] = "24h",
    description: Annotated[str | None, typer.Option(help="What the new key is for.")] = None,
    scope: ScopeOption = None,
    expires_at: ExpiresAt = None,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one, alone on standard output; what is left out, the new key has from the old one."""
    body: dict[str, object] = {"grace_seconds": seconds_of(grace)}
    body |= given(expires_at=expires_at)
    if description is not None:
        body["description"] = description
    if scope:
        body["scopes"] = scope
    path = f"/admin/api-keys/{segment(key_id)}/rotate"
    answer = calls_of(data_dir, api_url, wait).post(path, body, idempotency_key)
    _hand_over_or_tell_how(answer, as_json=as_json)


def reveal(
    key_id: KeyIdArgument,
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a key that a run has issued; that can be done once."""
    answer = calls_of(data_dir, api_url).post(f"/admin/api-keys/{segment(key_id)}/reveal")
    _hand_over(answer.body, as_json=as_json)


def revoke(
    key: Annotated[str, typer.Argument(help="The key's id or its SHA-256, never the key itself.")],
    *,
    reason: Reason = "",
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on."""
    answer = calls_of(data_dir, api_url, wait).delete(
        f"/admin/api-keys/{segment(key)}", **given(reason=reason)
    )
    print_facts(answer.body, as_json=as_json)


def revoke_all(
    tenant_id: Annotated[str, typer.Argument(help="Whose keys.")],
    *,
    reason: Reason = "",
    wait: Wait = DEFAULT_WAIT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse every key of a tenant from now on."""
    path = f"/admin/tenants/{segment(tenant_id)}/api-keys"
    answer = calls_of(data_dir, api_url, wait).delete(path, **given(reason=reason))
    print_facts(answer.body, as_json=as_json)


def _hand_over_or_tell_how(answer: "Answer", *, as_json: bool) -> None:
    if not answer.is_pending:
        _hand_over(answer.body, as_json=as_json)
        return
    print_facts(answer.body, as_json=as_json, to_person=True)
    tell(f"Fetch the key when the run has ended: convergence key reveal {answer.body['key_id']}")
    raise typer.Exit(ExitStatus.FAILED)


def _hand_over(body: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(body, indent=2))
        return
    facts = {name: value for name, value in body.items() if name != "api_key"}
    print_facts(facts, as_json=False, to_person=True)
    tell("Keep the key now: it is not shown again.")
    typer.echo(body["api_key"])
