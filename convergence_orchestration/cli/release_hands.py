"""`convergence release pause|resume|promote|abort|retry|rollback|freeze|unfreeze|sign|load-test`: people's hands on a release.

What belongs here: commands, each of which launches the job that the UI offers too.
"""

from collections.abc import Callable
from typing import Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir
from convergence_orchestration.cli.platforms import GoogleCloud
from convergence_orchestration.cli.release_runs import Environment, Reason, launch

_Release = Annotated[str, typer.Argument(help="Which release; left out: the one that was handed over last.")]
_ThisRelease = Annotated[str, typer.Argument(help="The release.")]


def _steering(job: str, op: str, sentence: str) -> Callable[..., None]:
    """A command that launches a job which asks for nothing but a release and a reason."""

    def steer(
        release: _Release = "",
        *,
        reason: Reason = "",
        environment: Environment = "",
        data_dir: DataDir = DEFAULT_DATA_DIR,
        google_cloud: GoogleCloud = False,
    ) -> None:
        launch(
            data_dir,
            job,
            op,
            {"release": release, "reason": reason, "environment": environment},
            google_cloud=google_cloud,
        )

    steer.__doc__ = sentence
    return steer


pause = _steering(
    "pause_release",
    "pause_rollout",
    "Promote nothing until somebody resumes it; what turns out bad is still rolled back.",
)
resume = _steering("resume_release", "resume_rollout", "Let a release that waits for a person go on.")
abort = _steering(
    "abort_release",
    "abort_rollout",
    "Give all traffic back to the stable revision, also after the release was finished.",
)
retry = _steering(
    "retry_release",
    "retry_rollout",
    "Begin a release that was rolled back or stopped again with its first stage.",
)


def promote(
    release: _Release = "",
    *,
    percent: Annotated[int, typer.Option(min=0, max=100, help="To which share; 0: the next stage.")] = 0,
    reason: Reason = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Begin the next stage now, or the one that is named, whatever the clock or a freeze says."""
    config = {"release": release, "percent": percent, "reason": reason, "environment": environment}
    launch(data_dir, "promote_release", "promote_rollout", config, google_cloud=google_cloud)


def rollback(
    *,
    to: Annotated[str, typer.Option("--to", help="Which revision; left out: the one before.")] = "",
    reason: Reason = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Give all traffic to the revision before, or to one that is named; it is verified and the service is probed."""
    config = {"revision": to, "reason": reason, "environment": environment}
    launch(data_dir, "rollback_service", "roll_back", config, google_cloud=google_cloud)


def freeze(
    *,
    until: Annotated[str, typer.Option("--until", help="ISO 8601, for example 2030-01-02T06:00:00Z.")],
    start: Annotated[str, typer.Option("--from", help="ISO 8601; left out: now.")] = "",
    reason: Reason = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Promote nothing for a while, in any release of the service; rolling back is always allowed."""
    config = {"start": start, "until": until, "reason": reason, "environment": environment}
    launch(data_dir, "freeze_releases", "freeze", config, google_cloud=google_cloud)


def unfreeze(
    *,
    reason: Reason = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """End every freeze by hand."""
    launch(
        data_dir,
        "unfreeze_releases",
        "unfreeze",
        {"reason": reason, "environment": environment},
        google_cloud=google_cloud,
    )


def load_test(
    release: _ThisRelease,
    *,
    rate: Annotated[float, typer.Option(help="Requests a second, at most 500.")] = 50,
    seconds: Annotated[float, typer.Option(help="How long.")] = 60,
    path: Annotated[str, typer.Option(help="What is asked for.")] = "/health",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Load-test a release on its tag; the result is an item of the check-list of its image. Do it in staging."""
    config = {
        "release": release,
        "rate": rate,
        "seconds": seconds,
        "path": path,
        "environment": environment,
    }
    launch(data_dir, "load_test_release", "send_load", config, google_cloud=google_cloud)


def sign(
    release: _ThisRelease,
    item: Annotated[str, typer.Argument(help="security_review or on_call.")],
    *,
    name: Annotated[str, typer.Option(help="Who signs; it counts for this release alone.")],
    note: Annotated[str, typer.Option(help="What was looked at, or who is on call until when.")] = "",
    environment: Environment = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    google_cloud: GoogleCloud = False,
) -> None:
    """Sign an item of a release's check-list."""
    config = {"release": release, "item": item, "name": name, "note": note, "environment": environment}
    launch(data_dir, "sign_release_item", "sign_item", config, google_cloud=google_cloud)
