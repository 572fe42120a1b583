from dataclasses import replace

from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.keys.model import KeyId, KeyRecord
from convergence_orchestration.keys.usage import UsageNotes, UsageRecorder, last_used
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults
from convergence_orchestration_tests.keys.builders import ACME, T0, key_id, record, seconds


def used(key: KeyId) -> KeyRecord:
    return replace(record(), key_id=key)


def test_only_the_last_use_of_a_key_is_noted_and_taken_once() -> None:
    notes = UsageNotes()
    notes.note(used(key_id(1)), T0)
    notes.note(used(key_id(1)), seconds(30))
    notes.note(used(key_id(2)), seconds(40))
    assert notes.take() == {key_id(1): (ACME, seconds(30)), key_id(2): (ACME, seconds(40))}
    assert notes.take() == {}


def test_what_is_put_back_does_not_hide_a_later_use() -> None:
    notes = UsageNotes()
    notes.note(used(key_id(1)), T0)
    notes.note(used(key_id(2)), T0)
    taken = notes.take()
    notes.note(used(key_id(1)), seconds(90))
    notes.put_back(taken)
    assert notes.take() == {key_id(1): (ACME, seconds(90)), key_id(2): (ACME, T0)}


def test_the_last_use_is_known_to_the_minute_whoever_wrote_it_down_and_however_often(
    bigquery: BigQuery, key_id: KeyId
) -> None:
    one, other = UsageRecorder(bigquery, lambda: T0), UsageRecorder(bigquery, lambda: T0)
    for recorder, at in ((one, 61), (other, 75), (other, 10)):
        recorder.notes.note(used(key_id), seconds(at))
        recorder.append()
        recorder.append()

    assert last_used(bigquery, [key_id, KeyId("key_of_nobody")]) == {key_id: seconds(60)}
    assert last_used(bigquery, []) == {}


def test_an_append_that_fails_is_kept_for_the_next_one(
    project: Settings, local_bigquery: Emulator, key_id: KeyId
) -> None:
    warehouse = BigQuery(bigquery_client(project), total_seconds=0.1)
    recorder = UsageRecorder(warehouse, lambda: T0)
    recorder.notes.note(used(key_id), T0)

    with faults(local_bigquery, {"method": "POST */tables/api_key_usage/insertAll", "code": 503}):
        recorder.append()
    assert last_used(warehouse, [key_id]) == {}
    recorder.append()

    assert last_used(warehouse, [key_id]) == {key_id: T0}
    warehouse.client.close()  # type: ignore[no-untyped-call]


def test_what_is_noted_is_appended_when_the_recorder_stops(bigquery: BigQuery, key_id: KeyId) -> None:
    recorder = UsageRecorder(bigquery, lambda: T0, interval=3600)
    recorder.start()
    recorder.notes.note(used(key_id), T0)
    recorder.stop(timeout=30)
    assert last_used(bigquery, [key_id]) == {key_id: T0}


def test_a_defect_does_not_end_the_recorder_with_an_exception(bigquery: BigQuery) -> None:
    no_times = iter(())
    recorder = UsageRecorder(bigquery, lambda: next(no_times), interval=3600)
    recorder.stop()
    recorder.notes.note(used(key_id()), T0)
    recorder.start()
    recorder.stop(timeout=30)
