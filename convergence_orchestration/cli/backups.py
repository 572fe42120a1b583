"""`convergence backup create|list|show` and `convergence restore`.

What belongs here: commands. Whatever changes something is a Dagster run; listing and the dry run only read.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud, bigquery_of, settings_at
from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from convergence_orchestration.gcp.bigquery import BigQuery
    from convergence_orchestration.warehouse.backups.checking import Wanted
    from convergence_orchestration.warehouse.backups.compared import ComparedTable, Permissions

app = typer.Typer(
    no_args_is_help=True, help="Back up the platform's tables, or one tenant's, and look at backups."
)

_Tenant = Annotated[
    str, typer.Option("--tenant", help="One tenant's own tables; left out: the central ones.")
]


@app.command()
def create(
    *,
    tenant: _Tenant = "",
    reason: Annotated[str, typer.Option(help="Why, for the list of backups.")] = "asked for",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Take a backup: its name on standard output."""
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help
    from convergence_orchestration.warehouse.backups.model import Scope  # noqa: PLC0415

    Scope.of(tenant)
    settings = settings_at(data_dir, google_cloud=google_cloud)
    config = {"tenant_id": tenant, "reason": reason}
    done = run_job(settings, "backup_control_plane", "control_plane_backup", config)
    typer.echo(done.materializations[0].metadata["backup"])


@app.command("list")
def list_backups(*, data_dir: DataDir = DEFAULT_DATA_DIR, google_cloud: GoogleCloud = False) -> None:
    """List the backups that can be restored, the newest first."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.cli.showing import print_table  # noqa: PLC0415
    from convergence_orchestration.warehouse.backups.listing import backups  # noqa: PLC0415
    from convergence_orchestration.warehouse.backups.shown import (  # noqa: PLC0415
        BACKUP_COLUMNS,
        backup_rows,
    )

    with bigquery_of(settings_at(data_dir, google_cloud=google_cloud)) as bigquery:
        found = backups(bigquery, datetime.now(UTC))
    if found:
        print_table(BACKUP_COLUMNS, backup_rows(found), unbroken=["name"])
    else:
        tell("There is none: convergence backup create")


@app.command()
def show(
    backup: Annotated[str, typer.Argument(help="The backup's name.")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Show the tables of a backup with their rows and checksums."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.cli.showing import print_facts, print_table  # noqa: PLC0415
    from convergence_orchestration.warehouse.backups.listing import restorable  # noqa: PLC0415
    from convergence_orchestration.warehouse.backups.shown import (  # noqa: PLC0415
        BACKUP_COLUMNS,
        COPY_COLUMNS,
        backup_rows,
        copy_rows,
    )

    with bigquery_of(settings_at(data_dir, google_cloud=google_cloud)) as bigquery:
        found = restorable(bigquery, backup, datetime.now(UTC))
    facts = dict(zip(BACKUP_COLUMNS, backup_rows([found])[0], strict=True))
    print_facts({**facts, "environment": found.environment, "run_id": found.run_id}, as_json=False)
    print_table(COPY_COLUMNS, copy_rows(found), unbroken=["table"])


def restore(  # noqa: PLR0913 one for each option
    *,
    backup: Annotated[str, typer.Option("--from", help="The backup's name.")],
    tenant: _Tenant = "",
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table; may be repeated.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; else it is only shown.")] = False,
    confirm: Annotated[
        str | None, typer.Option(help="The backup's name once more; asked for if left out.")
    ] = None,
    despite_requests: Annotated[
        bool, typer.Option("--despite-requests", help="Although requests about tenants are under way.")
    ] = False,
    recreate_tables: Annotated[
        bool,
        typer.Option(
            "--recreate-tables", help="Make tables anew that are not as declared. Stop the API first."
        ),
    ] = False,
    readmit_keys: Annotated[
        bool,
        typer.Option("--readmit-keys", help="Although keys may be let in again that were revoked since."),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Show what a backup would bring back; with --apply bring it back. A backup of the present is taken first."""
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help
    from convergence_orchestration.warehouse.backups.checking import (  # noqa: PLC0415
        Wanted,
        check_confirmed,
    )
    from convergence_orchestration.warehouse.backups.compared import Permissions  # noqa: PLC0415

    settings = settings_at(data_dir, google_cloud=google_cloud)
    allowed = Permissions(recreate_tables, readmit_keys)
    wanted = Wanted(
        backup, settings.environment.value, tenant, tuple(tables or ()), despite_requests, allowed
    )
    with bigquery_of(settings) as bigquery:
        _print(_planned(bigquery, wanted), allowed)
    if not apply:
        tell("Nothing was changed; --apply does it.")
        return
    confirm = typer.prompt("Type the backup's name to restore it", err=True) if confirm is None else confirm
    check_confirmed(wanted, confirm)
    config = {
        "backup": backup,
        "tenant_id": tenant,
        "tables": tables or [],
        "apply": True,
        "confirm": confirm,
        "despite_requests": despite_requests,
        "recreate_tables": recreate_tables,
        "readmit_keys": readmit_keys,
    }
    done = run_job(settings, "restore_control_plane", "restore_tables", config)
    kept = next((each.metadata.get("present_kept_as") for each in done.materializations), None)
    tell(f"Restored. The present before it is kept as {kept or 'the newest in convergence backup list'}.")


def _planned(bigquery: "BigQuery", wanted: "Wanted") -> "list[ComparedTable]":
    from datetime import UTC, datetime  # noqa: PLC0415

    from convergence_orchestration.warehouse.backups.restoring import planned  # noqa: PLC0415

    return planned(bigquery, wanted, datetime.now(UTC))[1]


def _print(compared: "list[ComparedTable]", allowed: "Permissions") -> None:
    from convergence_orchestration.cli.showing import print_table  # noqa: PLC0415
    from convergence_orchestration.warehouse.backups.shown import (  # noqa: PLC0415
        COMPARED_COLUMNS,
        compared_rows,
    )

    print_table(COMPARED_COLUMNS, compared_rows(compared, allowed), unbroken=["table"])
