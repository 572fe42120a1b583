import json
from pathlib import Path

import pytest
from google.auth import impersonated_credentials
from google.auth.exceptions import RefreshError
from google.oauth2 import service_account

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp import clients
from convergence_orchestration.settings import Settings, load_settings


def made_settings(**fields: object) -> Settings:
    return load_settings(_env_file=None, gcp_project_id="acme-dev", **fields)


def test_an_emulator_is_asked_without_credentials() -> None:
    settings = made_settings(
        bigquery_emulator_host="http://127.0.0.1:9",
        kms_emulator_host="127.0.0.1:10",
        secret_manager_emulator_host="127.0.0.1:11",
        run_emulator_host="127.0.0.1:12",
        build_emulator_host="127.0.0.1:13",
        monitoring_emulator_host="127.0.0.1:14",
        bigquery_location="EU",
    )

    bigquery = clients.bigquery_client(settings)
    kms = clients.kms_client(settings)
    secrets = clients.secret_manager_client(settings)
    run = clients.run_clients(settings)

    assert (bigquery.project, bigquery.location) == ("acme-dev", "EU")
    assert bigquery._connection.API_BASE_URL == "http://127.0.0.1:9"  # noqa: SLF001
    assert kms.transport.host == "127.0.0.1:10"
    assert secrets.transport.host == "127.0.0.1:11"
    assert [client.transport.host for client in run] == ["127.0.0.1:12", "127.0.0.1:12"]
    assert clients.build_client(settings).transport.host == "127.0.0.1:13"
    assert clients.monitoring_client(settings).transport.host == "127.0.0.1:14"


def test_missing_credentials_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(PermanentError, match="gcloud auth application-default login") as caught:
        clients.kms_client(made_settings())

    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_a_credentials_file_that_is_none_is_named_and_not_shown(tmp_path: Path) -> None:
    wrong = tmp_path / "key.json"
    wrong.write_text('{"type": "service_account", "private_key": "very secret"}')

    with pytest.raises(PermanentError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
        clients.bigquery_client(made_settings(google_application_credentials=str(wrong)))

    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert str(wrong) in caught.value.message
    assert "very secret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_service_account_file_of_the_settings_is_used(tmp_path: Path) -> None:
    settings = made_settings(google_application_credentials=str(_service_account_file(tmp_path)))

    secrets = clients.secret_manager_client(settings)

    assert secrets.transport.host == "secretmanager.googleapis.com:443"
    assert clients.bigquery_client(settings)._credentials.service_account_email == "a@b.c"  # noqa: SLF001


def test_a_file_named_by_the_environment_is_left_to_googles_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = str(_service_account_file(tmp_path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", path)

    kms = clients.kms_client(made_settings(google_application_credentials=path))

    assert kms.transport.host == "cloudkms.googleapis.com:443"


def _refuse(*_: object) -> None:
    raise RefreshError("Permission 'iam.serviceAccounts.getAccessToken' denied")  # type: ignore[no-untyped-call]


def test_whoever_may_not_act_as_the_service_account_is_told_how_to_be_let(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = made_settings(google_application_credentials=str(_service_account_file(tmp_path)))
    monkeypatch.setattr(service_account.Credentials, "refresh", lambda *_: None)
    monkeypatch.setattr(impersonated_credentials.Credentials, "refresh", _refuse)

    with pytest.raises(PermanentError, match=r"roles/iam\.serviceAccountTokenCreator") as refused:
        clients.kms_client(settings, acting_as="api@acme-dev.iam.gserviceaccount.com")

    assert refused.value.code is ErrorCode.PERMISSION_DENIED
    assert "gcloud iam service-accounts create api --project=acme-dev" in refused.value.message


def test_whoever_may_act_as_the_service_account_asks_in_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = made_settings(google_application_credentials=str(_service_account_file(tmp_path)))
    monkeypatch.setattr(service_account.Credentials, "refresh", lambda *_: None)
    monkeypatch.setattr(impersonated_credentials.Credentials, "refresh", lambda *_: None)

    kms = clients.kms_client(settings, acting_as="api@acme-dev.iam.gserviceaccount.com")

    assert kms.transport.host == "cloudkms.googleapis.com:443"


def test_own_credentials_that_google_refuses_are_another_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = made_settings(google_application_credentials=str(_service_account_file(tmp_path)))
    monkeypatch.setattr(service_account.Credentials, "refresh", _refuse)

    with pytest.raises(PermanentError, match="gcloud auth application-default login"):
        clients.kms_client(settings, acting_as="api@acme-dev.iam.gserviceaccount.com")


def _service_account_file(directory: Path) -> Path:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "acme-dev",
                "client_email": "a@b.c",
                "private_key": private_key.decode(),
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    return path
