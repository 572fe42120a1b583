"""`convergence release list|show|report|watch`: looking at releases.

What belongs here: commands that change nothing.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, AsJson, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud
from convergence_orchestration.cli.release_runs import Environment, scene_at
from convergence_orchestration.cli.reporting import console, tell
from convergence_orchestration.cli.showing import print_facts, print_table

if TYPE_CHECKING:
    from convergence_orchestration.releases.model import ReleaseEvent, ReleaseId

_Release = Annotated[str, typer.Argument(help="The release; left out: the last one.")]


def list_releases(
    *, environment: Environment = "", data_dir: DataDir = DEFAULT_DATA_DIR, google_cloud: GoogleCloud = False
) -> None:
    """List the releases of a service, the newest first."""
    from convergence_orchestration.releases.report.story import story_of  # noqa: PLC0415 not for --help

    with scene_at(data_dir, environment, google_cloud=google_cloud) as scene:
        events = scene.read_events()
    names = dict.fromkeys(event.release_id for event in reversed(events) if event.revision)
    stories = [story for name in names if (story := story_of(events, name, None)) is not None]
    print_table(
        ("release", "began", "state", "revision", "by"),
        [
            (
                one.release_id,
                f"{one.began_at:%Y-%m-%d %H:%M:%S}",
                one.state,
                one.revision,
                one.events[0].actor,
            )
            for one in stories
        ],
        unbroken=("release", "revision"),
    )


def show(
    release: _Release = "",
    *,
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
    as_json: AsJson = False,
) -> None:
    """Show a release: who, what, how it stands, and everything that happened to it."""
    from convergence_orchestration.releases.report.page import facts  # noqa: PLC0415 not for --help
    from convergence_orchestration.releases.report.writing import report_on  # noqa: PLC0415

    with scene_at(data_dir, environment, google_cloud=google_cloud) as scene:
        events = scene.read_events()
        story = report_on(scene, _named(release, events), events).story
    print_facts(dict(facts(story)), as_json=as_json)
    if not as_json:
        rows = [
            (f"{one.recorded_at:%H:%M:%S}", one.kind, one.traffic_percent, one.verdict, one.actor, one.reason)
            for one in story.events
        ]
        print_table(("at", "what", "%", "verdict", "who", "why"), rows)


def report(
    release: _Release = "",
    *,
    output: Annotated[
        Path | None, typer.Option("--output", help="Which file; left out: RELEASE.html here.")
    ] = None,
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Write the report of a release as one HTML page with its pictures."""
    from convergence_orchestration.releases.report.writing import report_on  # noqa: PLC0415 not for --help

    with scene_at(data_dir, environment, google_cloud=google_cloud) as scene:
        events = scene.read_events()
        made = report_on(scene, _named(release, events), events)
    path = output or Path(f"{made.story.release_id}.html")
    path.write_text(made.html, encoding="utf-8")
    typer.echo(path)


def watch(
    *,
    environment: Environment = "",
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0: until Ctrl-C.")] = 0,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Watch the rollout live: who has which traffic, errors and latency of both revisions, what is decided and why."""
    from rich.live import Live  # noqa: PLC0415 not for --help

    from convergence_orchestration.cli.release_screen import Watched, screen  # noqa: PLC0415

    with (
        scene_at(data_dir, environment, google_cloud=google_cloud) as scene,
        Live(console=console(), auto_refresh=False) as live,
    ):
        watched, until = Watched(scene), time.monotonic() + seconds
        try:
            while True:
                live.update(screen(watched.look()), refresh=True)
                if seconds and time.monotonic() >= until:
                    return
                time.sleep(1)
        except KeyboardInterrupt:
            tell("The rollout goes on; nobody watches now.")


def _named(release: str, events: "list[ReleaseEvent]") -> "ReleaseId":
    from convergence_orchestration.errors import ErrorCode, PermanentError  # noqa: PLC0415 not for --help
    from convergence_orchestration.releases.model import parse_release_id  # noqa: PLC0415

    if release:
        return parse_release_id(release)
    last = next((event.release_id for event in reversed(events) if event.revision), None)
    if last is None:
        raise PermanentError(ErrorCode.NOT_FOUND, "Release something first: there is no release yet.")
    return last
