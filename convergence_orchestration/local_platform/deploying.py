"""A step of the start: the API is deployed to the local Cloud Run by the project's own jobs, unless it was before.

    python -m convergence_orchestration.local_platform.deploying DATA_DIR RELEASE

What belongs here: asking Dagster for the first release and waiting for it. It waives its check-list, for nobody has tested,
reviewed or backed up anything yet; where there is one, the platform is bootstrapped first, so that the audit log has it and
says why. What a release is, is `releases/`' business; that the API can do its work is asked by the supervisor, through the
front door.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import httpx

import convergence_orchestration
from convergence_orchestration.audit.runs import ACTOR_TAG
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.local_gcp.front_door_contract import read_routes
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.logs import configure, logger
from convergence_orchestration.releases.specification import ServiceSpecification, specification_of
from convergence_orchestration.settings import Settings, load_settings

_log = logger("convergence_orchestration.local_platform.deploying")

JOB = "deploy_service"
BOOTSTRAP_JOB = "bootstrap"
STARTED_BY = {"convergence/started_by": "convergence up", ACTOR_TAG: "convergence up"}
_DESCRIPTION = "The first release, by convergence up."
_WAIVED = "Nothing serves yet on this machine: the first release, by convergence up."
_LONGEST_SECONDS = 900.0


def is_deployed(directory: DataDirectory, settings: Settings) -> bool:
    """Requests for the API of this environment go to a revision, or will when its instances have started."""
    try:
        services = read_routes(directory.local_gcp).services
    except (ValueError, TypeError, AttributeError, KeyError):
        return False  # the node makes them anew; deploying once more does no harm
    wanted = (settings.gcp_project_id, specification_of(settings.environment).service)
    shares = (
        revision.percent
        for service in services
        if (service.project, service.name) == wanted
        for revision in service.revisions
    )
    return any(shares)


def first_release(release: str, settings: Settings, specification: ServiceSpecification) -> dict[str, object]:
    """The run config of the job: the tree that this program runs from, and a check-list that cannot be met yet waived."""
    source = Path(convergence_orchestration.__file__).parents[1]
    form = {
        "environment": settings.environment.value,
        "source": source.as_uri(),
        "release": release,
        "description": _DESCRIPTION,
        "overrides": {item.value: _WAIVED for item in specification.checklist},
    }
    return {"ops": {"check_release": {"config": form}}}


def runs_of(
    release: str, settings: Settings, specification: ServiceSpecification
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The jobs of a first start with their run configs, one after the other."""
    if specification.checklist:
        nothing_anew = {"force_recreate_dataset": False, "force_recreate_tables": False}
        yield BOOTSTRAP_JOB, {"ops": {"central_tables": {"config": nothing_anew}}}
    yield JOB, first_release(release, settings, specification)


def main(argv: list[str] | None = None) -> None:
    """Deploy it if it is not; exit with 1 and a sentence if that fails."""
    arguments = _arguments(argv)
    try:
        settings = load_settings()
        if is_deployed(DataDirectory.at(arguments.data_dir), settings):
            _log.info("The API is deployed; its node starts the instances.")
            return
        for job, config in runs_of(arguments.release, settings, specification_of(settings.environment)):
            anyio.run(_run, settings.dagster_base_url, job, config)
    except ConvergenceError as error:
        _log.error(error.message)
        sys.exit(1)


async def _run(dagster_url: str, job: str, config: Mapping[str, object]) -> None:
    """Launch the job, or wait for the one that an earlier start launched.

    Raises:
        ConvergenceError: why the run failed, or that Dagster cannot be asked.
    """
    from convergence_orchestration.api.dagster_client import DagsterClient  # noqa: PLC0415 seldom wanted

    (key, value), *_ = STARTED_BY.items()
    async with httpx.AsyncClient(trust_env=False) as http:
        dagster = DagsterClient(http, dagster_url)
        before = await dagster.tagged(job, key, value)
        live = [run_id for run_id, status in before.items() if not status.is_finished]
        run_id = live[0] if live else await dagster.launch(job, config, STARTED_BY)
        url = dagster.run_url(run_id)
        _log.info("A job runs.", job=job, run_id=run_id, url=url)
        outcome = await dagster.wait(run_id, _LONGEST_SECONDS)
    if not outcome.status.is_finished:
        raise TransientError(ErrorCode.DEADLINE_EXCEEDED, f"Look at {url}: the run of {job} does not end.")
    if error := outcome.error(url):
        raise PermanentError(ErrorCode.FAILED_PRECONDITION, f"{error.message}\nThe run is {url}")
    _log.info("The job has succeeded.", job=job)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The step of the start that deploys the API")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("release", help="the name of the release that is made if none was")
    return parser.parse_args(argv)


if __name__ == "__main__":
    with contextlib.suppress(ConvergenceError):  # which `main` tells
        configure(load_settings())
    main()
