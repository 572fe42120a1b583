"""`convergence suite local|staging|production`: the guide's acceptance suites from the command line.

What belongs here: whom to ask, showing the results as they come, and the JUnit file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import data_dir_of, directory_at
from convergence_orchestration.cli.reporting import ExitStatus, console, tell

if TYPE_CHECKING:
    from rich.table import Table

    from convergence_orchestration.suites.model import CaseResult, SuiteReport, Target
    from convergence_orchestration.suites.running import SuiteName

_COLOURS = {"PASSED": "green", "FAILED": "red", "ERROR": "yellow"}
_VARIABLES = {"local": "API_URL", "staging": "STAGING_URL", "production": "PROD_URL"}

app = typer.Typer(
    no_args_is_help=True, help="Run the guide's acceptance suites: ten tests each, against any address."
)

Url = Annotated[
    str,
    typer.Option(
        help="The API's address; left out, API_URL, STAGING_URL or PROD_URL, else the local platform's.",
        show_default=False,
    ),
]
SuiteDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="CONVERGENCE_DATA_DIR",
        help="The local platform, where no address is given.",
        show_default="that of the suite's environment",
    ),
]
AuthorityFile = Annotated[
    str,
    typer.Option(
        envvar="RUN_AUTHORITY_FILE",
        help="PEM file of the authority that signed its certificate; left out, for *.localhost the local platform's, else "
        "those that this machine trusts.",
        show_default=False,
    ),
]
JUnit = Annotated[
    Path | None, typer.Option(help="Write the results to this file, too, as JUnit's XML.", dir_okay=False)
]


def _command(suite: str, sentence: str) -> None:
    """A command that runs this suite."""

    @app.command(suite, help=sentence)
    def command(
        *,
        url: Url = "",
        authority_file: AuthorityFile = "",
        junit: JUnit = None,
        data_dir: SuiteDataDir = None,
    ) -> None:
        _run(suite, url, authority_file, junit, data_dir)


_OWN_TENANTS = "It makes tenants of its own and takes them away again; ADMIN_API_KEY opens it."
_command("local", f"Test a platform on this machine. {_OWN_TENANTS}")
_command("staging", f"Test a deployed staging. {_OWN_TENANTS}")
_command(
    "production",
    "Test production. It changes nothing: only calls that cannot are ever sent, and no key with them.",
)


def _run(suite: str, url: str, authority_file: str, junit: Path | None, data_dir: Path | None) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.suites.running import SuiteName, run  # noqa: PLC0415

    name = SuiteName(suite)
    path = data_dir_of(data_dir, None if name is SuiteName.LOCAL else name)
    target = _target(name, url, authority_file, path)
    tell(f"The {suite} suite against {target.url}")
    out = console()
    report = run(name, target, lambda: datetime.now(UTC), lambda result: out.print(_line(result)))
    out.print(_summary(report))
    if junit is not None:
        from convergence_orchestration.suites.junit import write  # noqa: PLC0415

        write(report, junit)
        tell(f"Written to {junit}.")
    if report.left_behind:
        tell(
            f"Offboard these tenants by hand, which could not be taken away: {', '.join(report.left_behind)}."
        )
    if not report.passed:
        raise typer.Exit(ExitStatus.FAILED)


def _target(name: "SuiteName", url: str, authority_file: str, data_dir: Path) -> "Target":
    """Whom to ask, with the administrators' key where the suite takes one.

    Raises:
        ConvergenceError: no address was given and no platform runs; the key is not there.
    """
    import os  # noqa: PLC0415

    from convergence_orchestration.cli.access import access_to  # noqa: PLC0415 not for --help
    from convergence_orchestration.suites.model import parse_target  # noqa: PLC0415
    from convergence_orchestration.suites.running import SUITES  # noqa: PLC0415

    address = url or os.environ.get(_VARIABLES[name], "")
    needs_key = not SUITES[name].only_reads
    if address:
        key = access_to(directory_at(data_dir), address).admin_key if needs_key else None
        return parse_target(address, key, authority_file or _authority_of(address, data_dir))
    from convergence_orchestration.cli.platforms import settings_at  # noqa: PLC0415
    from convergence_orchestration.suites.releases import served_address  # noqa: PLC0415

    settings = settings_at(data_dir, google_cloud=False)
    access = access_to(directory_at(data_dir), None) if needs_key else None
    address = access.url if access and name == "local" else served_address(settings)
    return parse_target(
        address, access.admin_key if access else None, authority_file or settings.run_authority_file
    )


def _authority_of(address: str, data_dir: Path) -> str | None:
    """Who signs what the platform of the data directory serves on this machine; None for any other address."""
    from urllib.parse import urlsplit  # noqa: PLC0415 not for --help

    authority = directory_at(data_dir).authority_file
    is_own = (urlsplit(address).hostname or "").endswith(".localhost") and authority.is_file()
    return str(authority) if is_own else None


def _line(result: "CaseResult") -> str:
    from rich.markup import escape  # noqa: PLC0415 not for --help

    colour = _COLOURS[result.outcome]
    detail = f"  {escape(result.detail)}" if result.detail else ""
    return f"{result.number:>2}. [{colour}]{result.outcome:<6}[/] {result.name:<36} {result.seconds:6.2f} s{detail}"


def _summary(report: "SuiteReport") -> "Table":
    from rich.table import Table  # noqa: PLC0415 not for --help

    passed = len(report.results) - len(report.failures)
    table = Table("suite", "passed", "failed", "seconds")
    seconds = sum(each.seconds for each in report.results)
    table.add_row(report.suite, str(passed), str(len(report.failures)), f"{seconds:.1f}")
    return table
