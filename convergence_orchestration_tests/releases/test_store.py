from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.releases.model import (
    EventKind,
    Percent,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
    Verdict,
)
from convergence_orchestration.releases.store import ReleaseEvents
from convergence_orchestration.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGE = "registry/api@sha256:" + "f" * 64
WHOLE = ReleaseEvent(
    event_id="store-1",
    release_id=ReleaseId("v1"),
    environment="staging",
    service="api-of-the-store",
    kind=EventKind.TRAFFIC_ASKED,
    recorded_at=NOW,
    revision=RevisionName("api-2"),
    stable_revision=RevisionName("api-1"),
    image=IMAGE,
    traffic_percent=Percent(10),
    verdict=Verdict.HEALTHY,
    reason="The first stage.",
    evidence={"service": {"generation": 3, "shares": {"api-1": 100}}},
    actor="rollout",
    run_id="run",
)


def test_events_come_back_as_they_were_written_once_and_in_order(bigquery: BigQuery) -> None:
    events = ReleaseEvents(bigquery)
    bare = ReleaseEvent(
        "store-2", ReleaseId("v1"), "staging", WHOLE.service, EventKind.STARTED, NOW - timedelta(1)
    )
    frozen = replace(
        WHOLE, evidence=MappingProxyType({"item": MappingProxyType({"met": True})}), event_id="store-3"
    )
    checked = replace(frozen, kind=EventKind.CHECKED, release_id=ReleaseId("v2"))
    repeated = replace(WHOLE, recorded_at=NOW + timedelta(hours=1))

    events.append(WHOLE, bare)
    events.append(repeated, checked)

    assert events.of_release("staging", WHOLE.service, ReleaseId("v1")) == [bare, WHOLE]
    assert events.of_service("staging", WHOLE.service) == [bare, WHOLE, checked]
    assert events.of_service("staging", WHOLE.service, NOW + timedelta(hours=2)) == []
    assert events.of_service("production", WHOLE.service) == []
    assert events.checks_of_image("mirror/api@sha256:" + "f" * 64) == [checked]
    assert events.checks_of_image(IMAGE, NOW + timedelta(1)) == []


def test_before_the_bootstrap_there_is_no_log(settings: Settings) -> None:
    events = ReleaseEvents(BigQuery(bigquery_client(settings)))
    for use in (lambda: events.append(WHOLE), lambda: events.of_service("staging", "api")):
        with pytest.raises(PermanentError, match="Bootstrap the platform first") as caught:
            use()
        assert caught.value.code is ErrorCode.NOT_BOOTSTRAPPED
