from datetime import timedelta

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.health.alerting.model import AlertKind
from convergence_orchestration.health.alerting.outbox import delivery_event
from convergence_orchestration.health.alerting.store import REMEMBERED, AlertEvents, row_of
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.health.alerting.builders import MINUTE, NOW, event, silenced


def test_events_come_back_as_they_were_written_once_and_in_order(bigquery: BigQuery) -> None:
    store = AlertEvents(bigquery)
    opened = event(streak=2, run_id="run")
    told = delivery_event(opened, "team", NOW + MINUTE, 3, "It was down.")
    bare = event(
        AlertKind.CLEARED, NOW + 2 * MINUTE, observed=None, threshold=None, opened_at=None, message=""
    )
    silence = silenced(NOW + timedelta(hours=1), at=NOW + 3 * MINUTE)
    old = event(AlertKind.PENDING, NOW - REMEMBERED)

    store.append([])
    store.append([silence, bare, old])
    store.append([opened, told])
    store.append([opened])
    newer = {**row_of(event(event_id="newer")), "kind": "ESCALATED"}
    bigquery.append("tenants", "alerts", [newer])  # by a version that is yet to come

    assert store.remembered(NOW + MINUTE) == [opened, told, bare, silence]


def test_before_the_bootstrap_there_is_no_log(settings: Settings) -> None:
    store = AlertEvents(BigQuery(bigquery_client(settings)))
    for use in (lambda: store.append([event()]), lambda: store.remembered(NOW)):
        with pytest.raises(PermanentError, match="Bootstrap the platform first") as caught:
            use()
        assert caught.value.code is ErrorCode.NOT_BOOTSTRAPPED
