"""`convergence release deploy`, against real release_events and a Dagster that plays the job."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dagster import validate_run_config

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.releases.model import EventKind, ReleaseEvent, ReleaseId, RevisionName
from convergence_orchestration.releases.order import Order
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn, Launch, Materializations
from convergence_orchestration_tests.cli.conftest import CommandLine

_IMAGE = f"repo/api@sha256:{'0' * 64}"
_GATE = "Meet these items of the check-list and launch release v8 again:\n- backup: there is none. Launch backup_control_plane."


@pytest.fixture(autouse=True)
def _cloud(project: Settings, convergence: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    del convergence  # only so that it has cleared the environment before
    monkeypatch.setenv("GCP_PROJECT_ID", project.gcp_project_id)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", str(project.bigquery_emulator_host))


@pytest.fixture
def write(bigquery: BigQuery) -> Callable[..., None]:
    """Appends what the job would have written of a release."""

    def append(release: str, kind: EventKind, **fields: object) -> None:
        order = Order(ReleaseId(release), "development", "convergence-api-dev", actor="ana")
        event: ReleaseEvent = order.event(kind, datetime.now(UTC), str(fields), **fields)
        ReleaseEvents(bigquery).append(event)

    return append


def test_a_release_is_deployed_by_a_run_and_each_step_is_said(
    convergence: CommandLine, dagster: DagsterStandIn, write: Callable[..., None]
) -> None:
    Path("pyproject.toml").write_text("")
    write("v7", EventKind.FAILED, reason="An earlier try.\n- which is not said again")

    def deploys(launch: Launch) -> Materializations:
        name = launch.op_config()["release"]
        write(name, EventKind.STARTED)
        write(name, EventKind.CHECKED, reason="Of today.", evidence={"item": "backup", "met": True})
        write(name, EventKind.OVERRIDDEN, reason="a friday", evidence={"item": "on_call"})
        write(name, EventKind.BUILT, image=_IMAGE)
        write(name, EventKind.DEPLOYED, revision=RevisionName("convergence-api-dev-v7"))
        write(name, EventKind.HANDED_OVER)
        return []

    dagster.work["deploy_service"] = deploys

    ended = convergence(
        *("release", "deploy", "--release", "v7", "--image", _IMAGE, "--override", "on_call=a friday"),
        "--google-cloud",
    )

    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == [
        "v7 for development has begun.",
        "backup: met. Of today.",
        "on_call: waived. a friday",
        f"image: {_IMAGE}",
        "revision: convergence-api-dev-v7 is ready on its tag, without traffic.",
        "smoke suite: passed.",
    ]
    assert "Release v7 is the rollout's" in ended.stderr
    (launched,) = dagster.launches
    assert launched.op_config()["overrides"] == {"on_call": "a friday"}
    definitions = build_definitions(load_settings(_env_file=None))
    assert validate_run_config(definitions.resolve_job_def("deploy_service"), launched.config)


def test_an_open_item_ends_it_with_how_to_meet_it(
    convergence: CommandLine, dagster: DagsterStandIn, write: Callable[..., None]
) -> None:
    def stops(_: Launch) -> Materializations:
        write(
            "v8", EventKind.CHECKED, reason="There is no backup.", evidence={"item": "backup", "met": False}
        )
        write("v8", EventKind.FAILED, reason=_GATE)
        raise PermanentError(ErrorCode.FAILED_PRECONDITION, _GATE)

    dagster.work["deploy_service"] = stops

    ended = convergence(
        "release", "deploy", "--release", "v8", "--source", "gs://bucket/tree.tar.gz", "--google-cloud"
    )

    assert ended.exit_code == 1
    assert ended.stdout.splitlines() == ["backup: open. There is no backup.", _GATE.splitlines()[1]]
    assert ended.stderr.splitlines()[-1] == _GATE.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--source nowhere --google-cloud", "Copy an archive of the sources to a bucket"),
        ("--source gs://b/o.tar.gz --override backup --google-cloud", "Give each --override as ITEM=REASON"),
        ("--release v_%1 --google-cloud", "Name a release by 1 to 100 letters"),
        ("--source gs://b/o.tar.gz --environment moon --google-cloud", "Name an environment"),
        ("--source .", "has no pyproject.toml"),
    ],
)
def test_what_cannot_be_meant_launches_nothing(
    convergence: CommandLine, dagster: DagsterStandIn, words: str, sentence: str
) -> None:
    ended = convergence("release", "deploy", *words.split())
    assert ended.exit_code == 1
    assert sentence in ended.stderr
    assert dagster.launches == []


def test_without_a_platform_it_says_so(convergence: CommandLine) -> None:
    Path("pyproject.toml").write_text("")
    assert convergence("release", "deploy").exit_code == 4
