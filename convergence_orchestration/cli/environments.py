"""`convergence environment prepare` and `show`: what an environment stands on.

What belongs here: commands. The steps are `environment/preparing.py`, the ones that the job `prepare_environment` takes; like
that job, preparing leaves no row in the audit log as long as there is none.
"""

from typing import Annotated

import typer

from convergence_orchestration.cli.admin_keys import GoogleCloud, cloud_at
from convergence_orchestration.cli.audited import audited
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir, EnvironmentName
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import print_table

app = typer.Typer(
    no_args_is_help=True, help="Prepare an environment: key ring, key, administrators' secret, bindings."
)


_Which = Annotated[
    EnvironmentName | None, typer.Option("--environment", help="Which one; left out: ENVIRONMENT's.")
]


@app.command()
def prepare(
    *,
    environment: _Which = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Make what is missing, mend what has drifted, and try it with the service account's rights."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.environment.preparing import prepare as prepared  # noqa: PLC0415 not for --help
    from convergence_orchestration.environment.shown import sentence  # noqa: PLC0415

    changed = 0
    with cloud_at(data_dir, google_cloud=google_cloud, environment=environment) as cloud:
        name = cloud.settings.environment
        with audited(cloud.settings, "environment.prepare", "environment", name, needs_log=False) as details:
            for each in prepared(cloud, datetime.now(UTC)):
                typer.echo(sentence(each))
                changed += each.action.is_change
                details["changed"] = changed
    tell(
        f"{name} is prepared; "
        + (f"{changed} things were made or changed." if changed else "nothing changed.")
    )


@app.command()
def show(
    *,
    environment: _Which = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Show what there is beside what is declared; nothing is changed."""
    from convergence_orchestration.environment.looking import looked_at  # noqa: PLC0415 not for --help

    with cloud_at(data_dir, google_cloud=google_cloud, environment=environment) as cloud:
        rows = [(each.what, each.declared, each.found) for each in looked_at(cloud)]
    print_table(("what", "declared", "found"), rows)
