import json
from pathlib import Path

import dagster as dg
import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.resources import (
    BigQueryConnection,
    KmsConnection,
    SecretManagerConnection,
    reported_failures,
    settings_resources,
)
from convergence_orchestration.settings import Settings, load_settings


def test_every_connection_reaches_its_service(settings: Settings) -> None:
    reached: dict[str, object] = {}

    @dg.op
    def look(
        bigquery: BigQueryConnection, kms: KmsConnection, secret_manager: SecretManagerConnection
    ) -> None:
        assert bigquery.bigquery() is bigquery.bigquery()
        assert kms.kms() is kms.kms()
        assert secret_manager.secrets() is secret_manager.secrets()
        reached["dataset"] = bigquery.bigquery().get_dataset("nowhere")
        reached["key ring"] = kms.kms().ensure_key_ring()
        reached["secret"] = secret_manager.secrets().ensure_secret("some")
        with bigquery.get_client() as client:
            reached["project"] = client.project

    @dg.job(resource_defs=settings_resources(settings))
    def look_around() -> None:
        look()

    result = look_around.execute_in_process()

    assert result.success
    assert reached == {
        "dataset": None,
        "key ring": True,
        "secret": True,
        "project": settings.gcp_project_id,
    }


def test_unused_connections_are_never_opened(settings: Settings) -> None:
    @dg.op
    def rest(
        bigquery: BigQueryConnection, kms: KmsConnection, secret_manager: SecretManagerConnection
    ) -> None:
        pass

    @dg.job(resource_defs=settings_resources(settings))
    def rest_a_while() -> None:
        rest()

    assert rest_a_while.execute_in_process().success


def test_no_field_of_a_resource_is_a_secret(tmp_path: Path) -> None:
    settings = load_settings(
        _env_file=None,
        admin_api_key="a-very-secret-key",
        google_application_credentials=str(tmp_path / "key.json"),
    )

    fields = {name: resource.model_dump() for name, resource in settings_resources(settings).items()}

    assert "a-very-secret-key" not in json.dumps(fields)
    assert fields["bigquery"]["gcp_credentials"] is None


def test_the_key_ring_may_be_in_a_project_of_its_own(settings: Settings) -> None:
    elsewhere = load_settings(
        _env_file=None, kms_project_id="keys-project", kms_emulator_host=settings.kms_emulator_host
    )
    connection = settings_resources(elsewhere)["kms"]

    assert isinstance(connection, KmsConnection)
    assert connection.kms().crypto_key_name.startswith("projects/keys-project/locations/us-central1/")


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (PermanentError(ErrorCode.KEY_EXISTS, "Revoke the key first.", {"key_id": "key_1"}), False),
        (TransientError(ErrorCode.UNAVAILABLE, "Try again.", {"key_id": "key_1"}), True),
    ],
)
def test_an_error_of_ours_becomes_a_failure_that_says_what_to_do(
    error: PermanentError | TransientError, *, is_retried: bool
) -> None:
    with pytest.raises(dg.Failure) as caught, reported_failures():
        raise error

    assert caught.value.description == error.message
    assert caught.value.allow_retries is is_retried
    assert caught.value.metadata["code"].value == str(error.code)
    assert caught.value.metadata["details"].value == {"key_id": "key_1"}


def test_a_defect_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), reported_failures():
        raise ZeroDivisionError
