import io
from pathlib import Path

from rich.console import Console

from convergence_orchestration.cli.progress import closing_words, shown
from convergence_orchestration.local_platform.model import (
    AdminKeySource,
    PlatformRecord,
    ServiceName,
    ServiceRecord,
    ServiceState,
)
from convergence_orchestration_tests.local_platform.builders import a_record

DEFAULT = Path(".convergence")


def with_api(state: ServiceState, **fields: object) -> PlatformRecord:
    service = ServiceRecord(state, **fields)  # type: ignore[arg-type]
    return a_record(services={ServiceName.BIGQUERY: ServiceRecord(), ServiceName.API: service})


def said(*records: PlatformRecord, is_terminal: bool = False) -> str:
    text = io.StringIO()
    with shown(Console(file=text, force_terminal=is_terminal, width=100)) as display:
        for record in records:
            display(record)
    return text.getvalue()


def test_elsewhere_than_on_a_terminal_each_event_is_one_line() -> None:
    text = said(
        with_api(ServiceState.WAITING),
        with_api(ServiceState.STARTING),
        with_api(ServiceState.RESTARTING, restarts=1, detail="signal SIGKILL"),
        with_api(ServiceState.STARTING, restarts=1),
        with_api(ServiceState.HEALTHY, restarts=1, seconds=1.24),
        with_api(ServiceState.HEALTHY, restarts=1, seconds=1.24),
        with_api(ServiceState.FAILED, restarts=1, detail="exit status 1"),
    )

    assert text.splitlines() == [
        "API: died (signal SIGKILL) and is started again",
        "API: healthy after 1.2 s",
        "API: failed: exit status 1",
    ]


def test_on_a_terminal_all_services_are_shown_at_once() -> None:
    text = said(with_api(ServiceState.HEALTHY, seconds=1.24), is_terminal=True)

    assert "BigQuery" in text
    assert "waiting" in text
    assert "healthy after 1.2 s" in text


def test_a_terminal_shows_nothing_before_there_is_anything() -> None:
    assert "BigQuery" not in said(is_terminal=True)


def test_the_closing_words_name_the_addresses_and_what_is_next() -> None:
    words = closing_words(a_record(base_port=9000), Path("a b"), 8.44)

    assert words.splitlines()[0] == (
        "The development platform is up after 8.4 s: API http://127.0.0.1:9000, Dagster http://127.0.0.1:9001"
    )
    assert "http://127.0.0.1:9000/docs" in words
    assert "127.0.0.1:9003 (gRPC)" in words
    assert """export ADMIN_API_KEY="$(convergence admin-key --data-dir 'a b')\"""" in words


def test_production_is_told_by_its_name_with_the_authority_to_trust_and_without_docs() -> None:
    variables = {"environment": "production", "run_authority_file": "a b/ca.pem"}

    words = closing_words(a_record(base_port=9000, variables=variables), DEFAULT, 8.44)

    address = "https://convergence-api-prod.localhost:9006"
    assert words.startswith(f"The production platform is up after 8.4 s: API {address}, Dagster http://")
    assert f"curl --cacert 'a b/ca.pem' -X POST {address}/api/v1/admin/bootstrap" in words
    assert "trust a b/ca.pem" in words
    assert "/docs" not in words


def test_a_key_of_the_environment_is_not_fetched() -> None:
    words = closing_words(a_record(admin_key_source=AdminKeySource.ENVIRONMENT), DEFAULT, 1)

    assert "the one in ADMIN_API_KEY" in words
    assert "convergence tenant create acmecorp\n" in words
