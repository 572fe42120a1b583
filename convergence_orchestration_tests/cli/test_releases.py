"""What `convergence release watch` draws, and that each hand's words meet the config of its job."""

from io import StringIO

import pytest
from dagster import validate_run_config
from rich.console import Console

from convergence_orchestration.cli.release_screen import Look, screen
from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.releases.evidence import Evidence, Probes, RevisionEvidence
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.traffic.migrating import Decided
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.cli.conftest import CommandLine
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD, World, measured, world


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("pause_release", "pause --reason lunch"),
        ("resume_release", "resume v2"),
        ("promote_release", "promote --percent 50"),
        ("abort_release", "abort"),
        ("retry_release", "retry v2"),
        ("rollback_service", "rollback --to api-00001-old"),
        ("freeze_releases", "freeze --from 2030-01-01T00:00:00Z --until 2030-01-02T00:00:00Z"),
        ("unfreeze_releases", "unfreeze --environment staging"),
        ("sign_release_item", "sign v2 on_call --name ana --note Monday"),
        ("load_test_release", "load-test v2 --rate 20 --seconds 5"),
    ],
)
def test_each_hand_launches_a_job_with_a_config_that_it_takes(
    convergence: CommandLine, dagster: DagsterStandIn, job: str, words: str
) -> None:
    dagster.work[job] = lambda _: []

    ended = convergence("release", *words.split(), "--google-cloud")

    assert ended.exit_code == 0, ended.output
    (launched,) = dagster.launches
    assert launched.tags["convergence/actor"].startswith("cli:")
    definitions = build_definitions(load_settings(_env_file=None))
    assert validate_run_config(definitions.resolve_job_def(job), launched.config)


def _drawn(look: Look) -> str:
    console = Console(width=160, record=True, file=StringIO())
    console.print(screen(look))
    return console.export_text()


def _decided(made: World, evidence: Evidence) -> Decided:
    return Decided(made.decide(), fold(made.events), made.service, evidence, {})


def test_a_rollout_is_drawn_with_its_traffic_figures_and_reason() -> None:
    made = world()
    made.to_stage(10)
    seen = RevisionEvidence(NEW, (measured(NOON, 10, 100, errors=7),), Probes(ok=3))
    decided = _decided(made, Evidence((seen, RevisionEvidence(OLD))))

    drawn = _drawn(Look("api", "staging", tuple(made.events), decided))

    for told in (
        "v2: bakes at 10 %",
        "api-00002-new",
        "90 %",
        "3 ok, 0 failed",
        "TRAFFIC_ASKED",
        "Bakes until",
    ):
        assert told in drawn
    new, old = (line for line in drawn.splitlines() if "ok, " in line or " ? " in line)
    assert {"100", "7"} <= set(new.split())
    assert old.split().count("?") == 3


def test_where_nothing_was_released_that_is_said() -> None:
    decided = Decided(world().decide(), fold([]), None, Evidence(), {})
    assert "No release was ever handed over" in _drawn(Look("api", "staging", (), decided))
