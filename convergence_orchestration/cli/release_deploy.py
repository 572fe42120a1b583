"""`convergence release deploy`: a release from sources or an image, up to its hand-over to the rollout.

What belongs here: the command, and saying how far the release has come. It is the job `deploy_service` that does it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud, bigquery_of
from convergence_orchestration.cli.release_runs import Environment, service_at
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError

if TYPE_CHECKING:
    from convergence_orchestration.releases.model import ReleaseEvent, ReleaseId
    from convergence_orchestration.releases.store import ReleaseEvents

_BUCKET = "gs://"


def deploy(  # noqa: PLR0913 one for each option
    *,
    release: Annotated[
        str, typer.Option(help="Its name, for example v1.0.0; the same name again goes on with it.")
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            metavar="DIR", help="What to build: a directory here, or gs://BUCKET/OBJECT.tar.gz. [default: .]"
        ),
    ] = "",
    image: Annotated[
        str, typer.Option(help="Instead of sources, what was built: REPOSITORY@sha256:...")
    ] = "",
    description: Annotated[str, typer.Option(help="What is new, for people.")] = "",
    override: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ITEM=REASON", help="Waive an item of the check-list; audited. May be repeated."
        ),
    ] = None,
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Release: check-list, image, revision without traffic, smoke suite. Then the rollout moves the traffic."""
    from convergence_orchestration.cli.dagster_runs import run_job  # noqa: PLC0415 not for --help
    from convergence_orchestration.releases.model import parse_release_id  # noqa: PLC0415
    from convergence_orchestration.releases.store import ReleaseEvents  # noqa: PLC0415

    name = parse_release_id(release or _made_up())
    asked = {
        "release": name,
        "environment": environment,
        "source": "" if image and not source else _source(source or ".", google_cloud=google_cloud),
        "image": image,
        "description": description,
        "overrides": _overrides(override or []),
    }
    settings, specification = service_at(data_dir, environment, google_cloud=google_cloud)
    config = {field: value for field, value in asked.items() if value}
    with bigquery_of(settings) as bigquery:
        told = Told(ReleaseEvents(bigquery), settings.environment.value, specification.service, name)
        told.skip()
        run_job(settings, "deploy_service", "check_release", config, told.look)
    tell(f"Release {name} is the rollout's: convergence release watch")


@dataclass
class Told:
    """What was said of a release already."""

    events: "ReleaseEvents"
    environment: str
    service: str
    release: "ReleaseId"
    ids: set[str] = field(default_factory=set)

    def skip(self) -> None:
        """What happened before is not said: a release that goes on after it was stopped."""
        self.ids |= {event.event_id for event in self._read()}

    def look(self) -> None:
        """Say what is new. What keeps it from being read is no reason to give up the release: the run goes on."""
        for event in self._read():
            if event.event_id not in self.ids:
                self.ids.add(event.event_id)
                for line in lines_of(event):
                    typer.echo(line)

    def _read(self) -> "list[ReleaseEvent]":
        try:
            return self.events.of_release(self.environment, self.service, self.release)
        except ConvergenceError:  # before the bootstrap there is no log
            return []


def lines_of(event: "ReleaseEvent") -> list[str]:
    """What an event of a deployment says; nothing for others, and for what the run's own error says."""
    from convergence_orchestration.releases.model import EventKind  # noqa: PLC0415 not for --help

    item = event.evidence.get("item")
    said = {
        EventKind.STARTED: f"{event.release_id} for {event.environment} has begun.",
        EventKind.CHECKED: f"{item}: {'met' if event.evidence.get('met') else 'open'}. {event.reason}",
        EventKind.OVERRIDDEN: f"{item}: waived. {event.reason}",
        EventKind.BUILT: f"image: {event.image}",
        EventKind.DEPLOYED: f"revision: {event.revision} is ready on its tag, without traffic.",
        EventKind.HANDED_OVER: "smoke suite: passed.",
    }
    if event.kind is EventKind.FAILED:
        return event.reason.splitlines()[1:]  # its first line is what the command ends with
    return [said[event.kind]] if event.kind in said else []


def _made_up() -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    return f"release-{datetime.now(UTC):%Y%m%d-%H%M%S}"


def _source(text: str, *, google_cloud: bool) -> str:
    if text.startswith(_BUCKET):
        return text
    if google_cloud:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Copy an archive of the sources to a bucket and name it with --source gs://BUCKET/OBJECT.tar.gz: Cloud Build cannot "
            "read a directory here.",
        )
    directory = Path(text).resolve()
    if not (directory / "pyproject.toml").is_file():
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Name the directory of the sources with --source: {directory} has no pyproject.toml.",
        )
    return directory.as_uri()


def _overrides(given: list[str]) -> dict[str, str]:
    parted = [one.partition("=") for one in given]
    if any(not (item and reason) for item, _, reason in parted):
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT, "Give each --override as ITEM=REASON, for example backup='none yet'."
        )
    return {item.strip(): reason for item, _, reason in parted}
