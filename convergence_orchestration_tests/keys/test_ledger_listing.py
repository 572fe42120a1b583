from datetime import UTC, datetime, timedelta

import pytest

from convergence_orchestration.errors import TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.keys.ledger import KeyEvents, _row_of, event_of
from convergence_orchestration.keys.ledger_inserting import insert_rows
from convergence_orchestration.keys.ledger_listing import ListedLedger, partitions
from convergence_orchestration.keys.model import KeyEvent, KeyEventKind
from convergence_orchestration.settings import Settings
from convergence_orchestration.warehouse.model import CENTRAL_DATASET
from convergence_orchestration_tests.keys.builders import T0, happened, issued, seconds

MIDNIGHT = datetime(2031, 3, 1, tzinfo=UTC)


class Queried:
    """The ledger by queries, of which the test only wants to know that it was asked."""

    def __init__(self) -> None:
        self.asked: list[datetime] = []

    def all(self) -> list[KeyEvent]:
        return []

    def events_since(self, since: datetime) -> list[KeyEvent]:
        self.asked.append(since)
        return []


@pytest.mark.parametrize(
    ("since", "now", "days"),
    [
        (timedelta(hours=11), timedelta(hours=12), ["20310301"]),
        (timedelta(minutes=-1), timedelta(minutes=4), ["20310228", "20310301"]),
        (timedelta(hours=23, minutes=50), timedelta(hours=23, minutes=56), ["20310301", "20310302"]),
        (timedelta(days=-2), timedelta(), ["20310227", "20310228", "20310301"]),
        (timedelta(days=2), timedelta(), ["20310303"]),
    ],
)
def test_the_days_of_the_window_are_read_and_tomorrow_near_midnight(
    since: timedelta, now: timedelta, days: list[str]
) -> None:
    assert partitions(MIDNIGHT + since, MIDNIGHT + now) == days


def test_events_that_were_inserted_are_listed_whole_at_once_and_streamed_ones_are_not(
    bigquery: BigQuery,
) -> None:
    queried = Queried()
    listed = ListedLedger(bigquery, queried, event_of, clock=lambda: seconds(60))
    revoked = happened(KeyEventKind.REVOKED, 71, at=5)
    rotated = happened(KeyEventKind.ROTATED, 71, at=4, overlap_ends=90)
    key = issued(71, at=1, expires=3600)

    insert_rows(bigquery, [_row_of(event) for event in (key, rotated)])
    insert_rows(bigquery, [_row_of(revoked)])
    insert_rows(bigquery, [_row_of(issued(72, at=-86_400)), _row_of(issued(73, at=86_400))])
    bigquery.append(CENTRAL_DATASET, "api_key_events", [_row_of(issued(74, at=6))])

    ours = {issued(number).key_id for number in range(71, 75)}
    found = [event for event in listed.events_since(T0) if event.key_id in ours]
    assert sorted(found, key=lambda event: event.recorded_at) == [key, rotated, revoked]
    assert [event for event in listed.events_since(seconds(5)) if event.key_id in ours] == [revoked]
    assert queried.asked == []
    assert KeyEvents(bigquery).get(key.key_id) is not None


def test_a_day_with_more_rows_than_may_be_listed_is_queried_until_the_next_day(bigquery: BigQuery) -> None:
    queried, now = Queried(), [MIDNIGHT]
    listed = ListedLedger(bigquery, queried, event_of, lambda: now[0], max_listed=0)
    late = issued(75, at=(MIDNIGHT - T0).total_seconds())
    insert_rows(bigquery, [_row_of(late)])

    assert listed.events_since(MIDNIGHT) == [late]
    assert listed.events_since(MIDNIGHT) == []
    assert queried.asked == [MIDNIGHT]
    now[0] += timedelta(days=1)
    assert listed.events_since(MIDNIGHT) == [late]


def test_before_the_bootstrap_the_query_is_asked_which_says_so(settings: Settings) -> None:
    queried = Queried()
    warehouse = BigQuery(bigquery_client(settings))
    assert ListedLedger(warehouse, queried, event_of, lambda: T0).events_since(T0) == []
    assert queried.asked == [T0]


def test_a_listing_that_fails_for_now_is_no_empty_ledger(settings: Settings) -> None:
    unreachable = settings.model_copy(update={"bigquery_emulator_host": "http://127.0.0.1:1"})
    warehouse = BigQuery(bigquery_client(unreachable), total_seconds=0.2)
    with pytest.raises(TransientError):
        ListedLedger(warehouse, Queried(), event_of, lambda: T0).events_since(T0)
