from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.model import EventKind
from convergence_orchestration.releases.order import Order
from convergence_orchestration.releases.report.again import AFTER, LateReport, late_report
from convergence_orchestration.releases.report.sensors import release_report_sensor
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD, V2, finished_world, world


def test_a_report_is_written_again_when_all_that_hung_is_counted() -> None:
    events = finished_world().events
    rollout = fold(events).rollout
    assert rollout is not None
    ended = rollout.last_at

    assert late_report(events, ended + AFTER - timedelta(seconds=1)) is None
    assert late_report(events, ended + AFTER) == LateReport(V2, rollout.last_event_id)
    assert late_report(events, ended + timedelta(hours=1)) is None


def test_a_release_under_way_or_without_traffic_has_no_late_report() -> None:
    assert late_report(world().events, NOON + AFTER) is None
    assert late_report([], NOON) is None


def test_the_sensor_asks_for_the_run_of_the_environment_in_which_it_is_due(
    project: Settings, bigquery: BigQuery
) -> None:
    definitions = build_definitions(project)
    ended = datetime.now(UTC) - AFTER - project.meter_late - timedelta(minutes=1)
    order = Order(V2, "staging", "convergence-api-staging")
    both: dict[str, Any] = {"revision": NEW, "stable_revision": OLD}
    ReleaseEvents(bigquery).append(
        order.event(EventKind.HANDED_OVER, ended - timedelta(seconds=3), **both),
        order.event(EventKind.TRAFFIC_ASKED, ended - timedelta(seconds=2), **both, traffic_percent=10),
        last := order.event(EventKind.STOPPED, ended, **both),
    )

    resources: Any = definitions.resources
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, resources={name: resources[name] for name in ("bigquery", "releases")}
        ) as context,
    ):
        found: Any = release_report_sensor(context)
        requests = [one for one in found if isinstance(one, dg.RunRequest)]

    (request,) = requests
    assert request.run_key == f"{last.event_id}/report"
    job = definitions.resolve_job_def("report_release")
    assert dg.validate_run_config(job, request.run_config)
    assert request.run_config["ops"]["write_report"]["config"] == {"environment": "staging", "release": "v2"}
