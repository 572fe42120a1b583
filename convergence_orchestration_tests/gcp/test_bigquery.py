from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.gcp.clients import bigquery_client
from convergence_orchestration.settings import Settings, load_settings
from convergence_orchestration_tests.emulators import Emulator, free_port
from convergence_orchestration_tests.gcp.faults import faults

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def warehouse(settings: Settings) -> BigQuery:
    return BigQuery(bigquery_client(settings), total_seconds=5)


def with_events(warehouse: BigQuery) -> BigQuery:
    """A dataset `log` with an empty table `events`."""
    warehouse.create_dataset("log", description="Of this test.", labels={})
    schema = [
        bigquery.SchemaField("event_id", "STRING", "REQUIRED"),
        bigquery.SchemaField("recorded_at", "TIMESTAMP"),
        bigquery.SchemaField("tags", "STRING", "REPEATED"),
        bigquery.SchemaField("payload", "BYTES"),
    ]
    warehouse.create_table(bigquery.Table(f"{warehouse.project}.log.events", schema=schema))
    return warehouse


def test_a_dataset_is_created_once_with_its_labels(warehouse: BigQuery) -> None:
    first = warehouse.create_dataset("tenant_acme", description="Of acme.", labels={"request_id": "req_1"})
    second = warehouse.create_dataset("tenant_acme", description="Of acme.", labels={"request_id": "req_2"})

    found = warehouse.get_dataset("tenant_acme")
    assert (first, second) == (True, False)
    assert found is not None
    assert (found.labels, found.description, found.location) == ({"request_id": "req_1"}, "Of acme.", "US")


def test_what_is_missing_is_none_and_deleting_it_is_no_error(warehouse: BigQuery) -> None:
    warehouse.delete_dataset("nowhere")
    warehouse.delete_table("nowhere", "nothing")

    assert warehouse.get_dataset("nowhere") is None
    assert warehouse.get_table("nowhere", "nothing") is None


def test_a_table_is_created_once_listed_and_deleted(warehouse: BigQuery) -> None:
    with_events(warehouse)
    table = bigquery.Table(f"{warehouse.project}.log.events", schema=[bigquery.SchemaField("n", "INT64")])

    assert warehouse.create_table(table) is False
    assert warehouse.list_tables("log") == ["events"]
    warehouse.delete_table("log", "events")
    assert warehouse.list_tables("log") == []


def test_a_dataset_is_deleted_with_what_is_in_it(warehouse: BigQuery) -> None:
    with_events(warehouse)

    warehouse.delete_dataset("log")

    assert warehouse.get_dataset("log") is None


def test_rows_come_back_as_they_were_appended(warehouse: BigQuery) -> None:
    with_events(warehouse)

    warehouse.append(
        "log", "events", [{"event_id": "a", "recorded_at": NOON, "tags": ("x", "y"), "payload": b"\x00\x01"}]
    )

    rows = warehouse.query("SELECT * FROM log.events")
    assert [dict(row) for row in rows] == [
        {"event_id": "a", "recorded_at": NOON, "tags": ["x", "y"], "payload": b"\x00\x01"}
    ]


def test_an_append_that_is_repeated_counts_once(warehouse: BigQuery) -> None:
    with_events(warehouse)

    for _ in range(2):
        warehouse.append("log", "events", [{"event_id": "a"}, {"event_id": "b"}])

    assert warehouse.count_rows("log", "events") == 2


def test_more_rows_than_one_request_takes_are_appended_in_batches(warehouse: BigQuery) -> None:
    with_events(warehouse)

    warehouse.append("log", "events", [{"event_id": str(number)} for number in range(501)])

    assert warehouse.count_rows("log", "events") == 501


def test_a_row_that_does_not_fit_is_refused_by_its_columns_without_its_values(warehouse: BigQuery) -> None:
    with_events(warehouse)

    with pytest.raises(PermanentError) as caught:
        warehouse.append("log", "events", [{"event_id": "a"}, {"event_id": "b", "recorded_at": "a-secret"}])

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert caught.value.message.startswith("Correct recorded_at of what is appended to log.events")
    assert "a-secret" not in f"{caught.value.message}{caught.value.details}"


def test_a_row_without_an_event_id_is_refused(warehouse: BigQuery) -> None:
    with pytest.raises(PermanentError, match=r"Give every row for log\.events an event_id"):
        warehouse.append("log", "events", [{"recorded_at": NOON}])


def test_appending_to_a_missing_table_says_so(warehouse: BigQuery) -> None:
    with pytest.raises(PermanentError) as caught:
        warehouse.append("log", "events", [{"event_id": "a"}])

    assert caught.value.code is ErrorCode.NOT_FOUND


def test_parameters_reach_a_query(warehouse: BigQuery) -> None:
    rows = warehouse.query(
        "SELECT one, two FROM UNNEST(@several) AS one, (SELECT @single AS two) ORDER BY one",
        [
            ArrayQueryParameter("several", "STRING", ["a", "b"]),
            ScalarQueryParameter("single", "TIMESTAMP", NOON),
        ],
    )

    assert [(row["one"], row["two"]) for row in rows] == [("a", NOON), ("b", NOON)]


def test_a_statement_says_how_many_rows_it_changed(warehouse: BigQuery) -> None:
    with_events(warehouse)

    inserted = warehouse.execute(
        "INSERT INTO log.events (event_id) SELECT id FROM UNNEST(@ids) AS id",
        [ArrayQueryParameter("ids", "STRING", ["a", "b", "c"])],
    )
    deleted = warehouse.execute(
        "DELETE FROM log.events WHERE event_id = @id", [ScalarQueryParameter("id", "STRING", "a")]
    )
    made = warehouse.execute("CREATE TABLE log.others (n INT64)")

    assert (inserted, deleted, made) == (3, 1, 0)


def test_a_wrong_statement_is_permanent(warehouse: BigQuery) -> None:
    with pytest.raises(PermanentError) as caught:
        warehouse.query("SELECT nothing FROM nowhere.at_all")

    assert caught.value.code is ErrorCode.NOT_FOUND


def test_a_snapshot_keeps_the_rows_until_it_expires(warehouse: BigQuery) -> None:
    with_events(warehouse).append("log", "events", [{"event_id": "a"}])
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)

    warehouse.snapshot("log.events", "log.events_kept", expires_at)
    warehouse.delete_table("log", "events")

    kept = warehouse.get_table("log", "events_kept")
    assert kept is not None
    assert (kept.table_type, kept.expires) == ("SNAPSHOT", expires_at)
    assert warehouse.count_rows("log", "events_kept") == 1


def test_a_snapshot_never_replaces_another(warehouse: BigQuery) -> None:
    with_events(warehouse).snapshot("log.events", "log.events_kept", NOON + timedelta(days=9000))

    with pytest.raises(PermanentError) as caught:
        warehouse.snapshot("log.events", "log.events_kept", NOON + timedelta(days=9000))

    assert caught.value.code is ErrorCode.ALREADY_EXISTS


def test_rows_are_copied_by_a_query_too(warehouse: BigQuery) -> None:
    with_events(warehouse).append("log", "events", [{"event_id": "a", "tags": ["x"]}])
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)

    warehouse.copy_rows("log.events", "log.events_copied", expires_at)

    copied = warehouse.get_table("log", "events_copied")
    assert copied is not None
    assert copied.expires == expires_at
    assert [row["tags"] for row in warehouse.query("SELECT tags FROM log.events_copied")] == [["x"]]


def test_what_fails_for_a_moment_is_repeated(warehouse: BigQuery, local_bigquery: Emulator) -> None:
    with faults(local_bigquery, {"method": f"*/projects/{warehouse.project}/*", "code": 503, "times": 2}):
        assert warehouse.create_dataset("log", description="Of this test.", labels={}) is True


def test_a_read_whose_repetition_is_refused_is_asked_anew(
    warehouse: BigQuery, local_bigquery: Emulator
) -> None:
    refusal = {"method": f"POST */projects/{warehouse.project}/queries", "code": 409, "reason": "duplicate"}

    with faults(local_bigquery, {**refusal, "times": 3}):
        assert [row["one"] for row in warehouse.query("SELECT 1 AS one")] == [1]
    impatient = BigQuery(warehouse.client, total_seconds=1)
    with faults(local_bigquery, refusal), pytest.raises(PermanentError) as caught:
        impatient.query("SELECT 1 AS one")
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


def test_a_missing_role_names_the_command_that_grants_it(
    warehouse: BigQuery, local_bigquery: Emulator
) -> None:
    refusal = {"method": f"*/projects/{warehouse.project}/*", "code": 403, "reason": "accessDenied"}

    with faults(local_bigquery, refusal), pytest.raises(PermanentError) as caught:
        warehouse.create_dataset("log", description="Of this test.", labels={})

    assert caught.value.code is ErrorCode.PERMISSION_DENIED
    assert f"gcloud projects add-iam-policy-binding {warehouse.project}" in caught.value.message
    assert '--role="roles/bigquery.admin"' in caught.value.message


def test_a_bigquery_that_is_down_is_named_with_its_address() -> None:
    host = f"http://127.0.0.1:{free_port()}"
    settings = load_settings(_env_file=None, gcp_project_id="acme-dev", bigquery_emulator_host=host)

    with pytest.raises(TransientError) as caught:
        BigQuery(bigquery_client(settings), total_seconds=0.5).get_dataset("log")

    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert f"BigQuery at {host} is unavailable" in caught.value.message


def test_links_lead_to_the_emulator_where_one_is_asked(warehouse: BigQuery, settings: Settings) -> None:
    base = f"{settings.bigquery_emulator_host}/bigquery/v2/projects/{warehouse.project}/datasets/log"

    assert warehouse.console_url("log") == base
    assert warehouse.console_url("log", "events") == f"{base}/tables/events"


def test_links_lead_to_googles_console_otherwise() -> None:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

    client = bigquery.Client(project="acme", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    warehouse = BigQuery(client)

    assert warehouse.location == "US"
    assert warehouse.console_url("log", "events") == (
        "https://console.cloud.google.com/bigquery?project=acme&ws=!1m5!1m4!4m3!1sacme!2slog!3sevents"
    )
    assert warehouse.console_url("log") == (
        "https://console.cloud.google.com/bigquery?project=acme&ws=!1m4!1m3!3m2!1sacme!2slog"
    )


def test_a_stream_reads_page_by_page(warehouse: BigQuery) -> None:
    numbers = warehouse.stream("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n ORDER BY n", page_size=2)

    assert [row["n"] for row in numbers] == [1, 2, 3, 4, 5]


def test_a_page_that_cannot_be_read_is_no_end_of_the_answer(
    warehouse: BigQuery, local_bigquery: Emulator
) -> None:
    refusal = {
        "method": f"GET */projects/{warehouse.project}/queries/*",
        "code": 403,
        "reason": "accessDenied",
    }
    numbers = warehouse.stream("SELECT n FROM UNNEST(GENERATE_ARRAY(1, 5)) AS n ORDER BY n", page_size=2)

    with faults(local_bigquery, refusal), pytest.raises(PermanentError) as caught:
        list(numbers)

    assert caught.value.code is ErrorCode.PERMISSION_DENIED
