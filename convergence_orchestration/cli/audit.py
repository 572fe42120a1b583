"""`convergence audit list` and `verify`: who did what, and whether the log of it is whole.

What belongs here: commands. The log is listed through the API, and verified from the table itself, so that nobody has to
believe the API about it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convergence_orchestration.audit.model import Outcome
from convergence_orchestration.cli.asking import AUDIT, Limit, calls_of, given
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, ApiUrl, AsJson, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud, bigquery_of, settings_at
from convergence_orchestration.cli.reporting import ExitStatus, tell
from convergence_orchestration.cli.showing import moment, print_json, print_table

if TYPE_CHECKING:
    from convergence_orchestration.audit.verification import Verification
    from convergence_orchestration.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Read the audit log, and check that it is whole.")

_SHOWN = 50
_COLUMNS = (
    "recorded_at",
    "actor",
    "action",
    "target",
    "tenant_id",
    "outcome",
    "error_code",
    "source_address",
    "run_id",
)


@app.command("list")
def list_rows(  # noqa: PLR0913 one for each option
    *,
    tenant_id: Annotated[str | None, typer.Option("--tenant", help="Only what concerns this tenant.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, for example tenant.create.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(case_sensitive=False, help="Only what ended so.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before: ISO 8601 with its offset.")] = None,
    until: Annotated[str | None, typer.Option(help="Before: ISO 8601 with its offset.")] = None,
    limit: Limit = _SHOWN,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    api_url: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """List who did what, the newest first; no more rows are fetched than are shown."""
    query = given(tenant_id=tenant_id, actor=actor, action=action, outcome=outcome, since=since, until=until)
    listed = AUDIT.read(calls_of(data_dir, api_url), limit, query)
    if as_json:
        print_json(listed.found)
    elif listed.found:
        print_table(_COLUMNS, map(_row, listed.found), unbroken=["recorded_at", "run_id"])
    else:
        tell("There is no such row.")
    if listed.next_cursor is not None:
        tell(f"There are older ones: --limit {limit * 2} shows more of them.")


@app.command()
def verify(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
    as_json: AsJson = False,
) -> None:
    """Look for rows that were changed or removed: exit status 0 if the log is whole, 1 with a sentence for each finding."""
    found = _verified(settings_at(data_dir, google_cloud=google_cloud))
    if as_json:
        print_json(
            {
                "whole": not found.findings,
                "rows": found.rows,
                "writers": found.writers,
                "findings": [asdict(finding) for finding in found.findings],
                "notes": found.notes,
            }
        )
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(ExitStatus.FAILED)


def _print(found: "Verification") -> None:
    for finding in found.findings:
        typer.echo(finding.sentence)
    for note in found.notes:
        tell(f"Note: {note}")
    checked = f"{found.rows} rows of {found.writers} writers were checked"
    verdict = f"{len(found.findings)} findings" if found.findings else "the log is whole"
    typer.echo(f"{checked}: {verdict}.")


def _verified(settings: "Settings") -> "Verification":
    """The whole table, read twice: its anchors first, so that no more than a page of rows is in memory."""
    from convergence_orchestration.audit.log import AuditLog  # noqa: PLC0415 not for --help
    from convergence_orchestration.audit.verification import Verification, anchors_of  # noqa: PLC0415
    from convergence_orchestration.warehouse.bootstrap import needs_bootstrap  # noqa: PLC0415

    verification = Verification()
    with bigquery_of(settings) as bigquery, needs_bootstrap():
        log = AuditLog(bigquery)
        verification.expect(anchors_of(log.openings()))
        for row in log.in_order():
            verification.see(row)
    verification.finish()
    return verification


def _row(found: Mapping[str, Any]) -> list[object]:
    target = " ".join(str(part) for part in (found["target_kind"], found["target_id"]) if part)
    shown = {**found, "recorded_at": moment(found["recorded_at"]), "target": target}
    return [shown[column] for column in _COLUMNS]
