"""`convergence tenant batch`: one batch of tenants, how far it is, and following it to its end.

What belongs here: the command. Sending a batch is `tenant_import.py`.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.asking import calls_of, line_to_type
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import ExitStatus, console, interrupted_by_signals, tell
from convergence_orchestration.cli.showing import moment, print_facts, print_json, print_table, what_is_next

if TYPE_CHECKING:
    from convergence_orchestration.cli.api_calls import ApiCalls
    from convergence_orchestration.cli.batch_following import BatchStatus

_COLUMNS = ("tenant_id", "error_code", "reason", "next")


def batch(
    batch_id: Annotated[str, typer.Argument(help="The batch's id, bat_...")],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Until it has ended.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a batch is and what of it failed. Looking changes nothing, and neither does Ctrl-C.

    With --follow the exit status is 0 only if every tenant of it was made.
    """
    from convergence_orchestration.cli.batch_following import status_of  # noqa: PLC0415 not for --help

    calls = calls_of(data_dir, api_url)
    try:
        status = _followed(calls, batch_id) if follow else status_of(calls, batch_id)
    except KeyboardInterrupt:
        look = line_to_type(f"tenant batch {batch_id} --follow", data_dir, api_url)
        tell(f"The batch goes on; to look again: {look}")
        raise typer.Exit(ExitStatus.INTERRUPTED) from None
    _print(
        status, line_to_type(f"tenant requests --batch {batch_id} --state FAILED", data_dir, api_url), as_json
    )
    if follow and status.count("DONE") < status.total:
        raise typer.Exit(ExitStatus.FAILED)


def _followed(calls: "ApiCalls", batch_id: str) -> "BatchStatus":
    from convergence_orchestration.cli.batch_following import Watch, follow, status_of  # noqa: PLC0415
    from convergence_orchestration.cli.batch_progress import shown  # noqa: PLC0415

    interrupted_by_signals()
    with shown(console(stderr=True)) as display:
        return follow(
            lambda: status_of(calls, batch_id), lambda status: display(status.tally), Watch(), seconds=None
        )


def _print(status: "BatchStatus", line_for_more: str, as_json: bool) -> None:  # noqa: FBT001 the option
    body = status.body
    if as_json:
        print_json(body)
        return
    facts = {
        "batch_id": body["batch_id"],
        "total": body["total"],
        **body["counts"],
        "is_finished": body["is_finished"],
        "requested_at": moment(body["requested_at"]),
        "updated_at": moment(body["updated_at"]),
    }
    print_facts(facts, as_json=False)
    failed = body["failures"]
    if failed:
        typer.echo()
        rows = ([*(each[name] for name in _COLUMNS[:-1]), what_is_next(each["next"])] for each in failed)
        print_table(_COLUMNS, rows, unbroken=["tenant_id"])
    if status.count("FAILED") > len(failed):
        tell(f"There are {status.count('FAILED') - len(failed)} more that failed: {line_for_more}")
