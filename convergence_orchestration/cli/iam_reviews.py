"""`convergence iam-review show`, `grants` and `sign`: who may do what, beside who shall.

What belongs here: commands. What is found is `security/reviewing.py`; the quarter's own review is Dagster's asset `iam_review`.
"""

from typing import Annotated

import typer

from convergence_orchestration.cli.admin_keys import GoogleCloud, cloud_at
from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir
from convergence_orchestration.cli.release_runs import Environment, launch
from convergence_orchestration.cli.reporting import ExitStatus, console, tell

app = typer.Typer(no_args_is_help=True, help="Review who may do what, and sign what was reviewed.")


@app.command()
def show(
    *,
    environment: Environment = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what is as declared.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Compare now, and keep nothing: exit status 1 if something is not as declared."""
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.security.baseline import baseline_of  # noqa: PLC0415
    from convergence_orchestration.security.model import Verdict  # noqa: PLC0415
    from convergence_orchestration.security.reviewing import review  # noqa: PLC0415

    with cloud_at(data_dir, google_cloud=google_cloud, environment=environment or None) as cloud:
        found = review(cloud, baseline_of(cloud.settings.environment), datetime.now(UTC))
    screen = console()
    for line in found.lines:
        if everything or line.verdict.is_difference or line.verdict is Verdict.UNKNOWN:
            words = " ".join(
                filter(None, (f"{line.verdict:<14}", line.subject, line.role, line.member, line.note))
            )
            screen.print(words, markup=False, soft_wrap=True)
            if line.cure:
                screen.print(f"{'':14} -> {line.cure}", markup=False, soft_wrap=True)
    counts = ", ".join(f"{found.count(verdict)} {verdict}" for verdict in Verdict)
    tell(f"{found.environment}: {counts}.")
    if found.count(Verdict.UNEXPECTED, Verdict.MISSING):
        raise typer.Exit(ExitStatus.FAILED)


@app.command()
def grants() -> None:
    """Print the command for each role that somebody shall have in ENVIRONMENT, for whoever may grant it; asks nobody anything."""
    from convergence_orchestration.security.granting import commands  # noqa: PLC0415 not for --help
    from convergence_orchestration.settings import load_settings  # noqa: PLC0415

    for line in commands(load_settings(admin_api_key=None)):
        typer.echo(line)


@app.command()
def sign(
    *,
    name: Annotated[str, typer.Option(help="Who has looked at the last review.")],
    note: Annotated[str, typer.Option(help="What was decided about each difference.")] = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Sign the last review that Dagster made; it is a row of the audit log."""
    config = {"name": name, "note": note, "environment": environment}
    launch(data_dir, "sign_iam_review", "sign_review", config, google_cloud=google_cloud)
