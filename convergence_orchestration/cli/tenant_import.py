"""`convergence tenant import`: the tenants of a CSV file, made in batches.

What belongs here: the command and its report. The file's form is `csv_rows.py`, sending it `batch_sending.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.asking import DEFAULT_WAIT, calls_of, line_to_type
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.reporting import ExitStatus, console, interrupted_by_signals, tell
from convergence_orchestration.cli.showing import print_json, print_table
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError

if TYPE_CHECKING:
    from convergence_orchestration.cli.batch_sending import Sending
    from convergence_orchestration.cli.csv_rows import RowProblem, Rows

_COLUMNS = ("line", "tenant_id", "code", "problem")


def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file in UTF-8.")
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file alone; the platform is not asked.")
    ] = False,
    skip_invalid: Annotated[
        bool,
        typer.Option("--skip-invalid", help="Send the rows that are well-formed, whatever the others are."),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds to wait for the tenants altogether.  [default: until all have ended]"
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make the tenants of a CSV file, up to 1,000 in a batch, one batch after the other.

    The first row names the columns in any order: tenant_id, and as wanted company_name, admin_email, plan, description,
    principal. If any row is malformed, each is listed with its line and nothing is sent.

    The same command typed again, after a kill or a lost connection, goes on with the same batches: nothing is done twice.
    A tenant that exists is refused and stays as it is. Ctrl-C ends the watching, not the batch that runs. The exit status
    is 0 only if every row's tenant was made.
    """
    from convergence_orchestration.cli.csv_rows import decoded, read_rows  # noqa: PLC0415 not for --help

    found = read_rows(decoded(file.read_bytes()))
    if not found.good and not found.problems:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, f"Add tenants to {file}: it has a header and no rows."
        )
    if dry_run or not found.good or (found.problems and not skip_invalid):
        _report_unsent(found, as_json=as_json)
        raise typer.Exit(ExitStatus.FAILED if found.problems else ExitStatus.OK)
    sending = _send(found, wait, data_dir, api_url)
    problems = sorted([*found.problems, *sending.problems()], key=lambda problem: problem.line)
    _report(sending, problems, as_json=as_json)
    _tell_how_to_look(sending, data_dir, api_url)
    if problems or sending.tally.done < len(found.good):
        raise typer.Exit(ExitStatus.FAILED)


def _send(found: "Rows", wait: float | None, data_dir: Path, api_url: str | None) -> "Sending":
    from convergence_orchestration.cli.batch_progress import shown  # noqa: PLC0415 not for --help
    from convergence_orchestration.cli.batch_sending import Sending  # noqa: PLC0415

    calls = calls_of(data_dir, api_url, DEFAULT_WAIT)
    interrupted_by_signals()
    with shown(console(stderr=True)) as display:
        sending = Sending(calls, found.good, display, seconds=wait)
        try:
            sending.perform()
        except KeyboardInterrupt:
            _tell_how_to_look(sending, data_dir, api_url)
            raise typer.Exit(ExitStatus.INTERRUPTED) from None
        except ConvergenceError:
            _tell_how_to_look(sending, data_dir, api_url)
            raise
    return sending


def _tell_how_to_look(sending: "Sending", data_dir: Path, api_url: str | None) -> None:
    """Say what goes on without this command, and what does not."""
    for batch in sending.sent:
        if not batch.is_finished:
            look = line_to_type(f"tenant batch {batch.batch_id} --follow", data_dir, api_url)
            tell(f"The batch goes on; to look again: {look}")
    if sending.unsent:
        tell(
            f"{sending.unsent} rows are not known to have been sent: type the same command again, it goes on there."
        )


def _report_unsent(found: "Rows", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"rows": len(found.good) + len(found.problems), "made": 0, "open": 0, "batches": []}
            | _listed(found.problems)
        )
        return
    _print_problems(found.problems)
    good = f"{len(found.good)} rows are well-formed"
    if not found.problems:
        tell(f"{good}. Nothing was sent.")
        return
    tell(f"{good}, {len(found.problems)} are not. Nothing was sent: correct them, or add --skip-invalid.")


def _report(sending: "Sending", problems: Sequence["RowProblem"], *, as_json: bool) -> None:
    tally = sending.tally
    if as_json:
        counts = {"rows": tally.total, "made": tally.done, "open": tally.total - tally.ended}
        print_json(counts | {"batches": sending.batch_ids} | _listed(problems))
        return
    _print_problems(problems)
    still_open = f", {tally.total - tally.ended} are still being made" if tally.ended < tally.total else ""
    listed = f", {len(problems)} rows are listed above" if problems else ""
    tell(f"{tally.done} of {tally.total} tenants are made{still_open}{listed}.")


def _print_problems(problems: Sequence["RowProblem"]) -> None:
    if problems:
        rows = ((each.line, each.tenant_id, each.code, each.message) for each in problems)
        print_table(_COLUMNS, rows, unbroken=["line"])


def _listed(problems: Sequence["RowProblem"]) -> dict[str, object]:
    return {
        "problems": [
            {"line": each.line, "tenant_id": each.tenant_id, "code": each.code, "message": each.message}
            for each in problems
        ]
    }
