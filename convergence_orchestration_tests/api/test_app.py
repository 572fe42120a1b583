import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from convergence_orchestration import __version__
from convergence_orchestration.api.app import create_app
from convergence_orchestration.audit.log import AuditFilter
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.settings import Environment, Settings, load_settings
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import (
    ADMIN_KEY,
    Api,
    ControlPlane,
    assert_is_error,
    patiently,
    served,
)

ADMIN_PATHS = [
    ("POST", "/api/v1/admin/bootstrap"),
    ("POST", "/api/v1/admin/tenants"),
    ("GET", "/api/v1/admin/tenants"),
    ("GET", "/api/v1/admin/tenants/acmecorp"),
    ("POST", "/api/v1/admin/tenants:batch"),
    ("GET", "/api/v1/admin/tenant-batches/bat_x"),
    ("PUT", "/api/v1/admin/tenants/acmecorp/plan"),
    ("POST", "/api/v1/admin/tenants/acmecorp/suspend"),
    ("POST", "/api/v1/admin/tenants/acmecorp/resume"),
    ("DELETE", "/api/v1/admin/tenants/acmecorp"),
    ("GET", "/api/v1/admin/tenant-requests"),
    ("GET", "/api/v1/admin/tenant-requests/req_x"),
    ("POST", "/api/v1/admin/api-keys"),
    ("POST", "/api/v1/admin/api-keys/key_x/reveal"),
    ("DELETE", "/api/v1/admin/api-keys/key_x"),
    ("GET", "/api/v1/admin/audit"),
]


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/health/live"])
def test_health_says_service_version_and_environment(api: Api, path: str) -> None:
    answer = api.call("GET", path)

    assert answer.status_code == 200
    assert answer.json() == {
        "status": "healthy",
        "service": "convergence-api",
        "version": __version__,
        "environment": "development",
    }


@pytest.mark.parametrize("path", ["/health", "/api/v1/health", "/health/live"])
def test_health_answers_head_without_a_body(api: Api, path: str) -> None:
    answer = api.call("HEAD", path)

    assert answer.status_code == 200
    assert answer.content == b""


def test_health_is_never_limited(api: Api) -> None:
    answers = [api.call("GET", "/health") for _ in range(150)]

    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit-Limit" not in answers[-1].headers


def test_ready_shows_each_check_with_its_age(api: Api) -> None:
    answer = api.call("GET", "/health/ready")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "ready"
    assert body["checks"].keys() == {"key_index", "tenant_index", "dagster", "bigquery"}
    for check in body["checks"].values():
        assert check["status"] == "healthy"
        assert check["age_seconds"] >= 0


def test_an_api_that_reaches_nothing_is_live_and_not_ready(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    dagster.broken = (500, b"")
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # accepts connections, never answers
        settings = patiently(control_plane.settings).model_copy(
            update={"bigquery_emulator_host": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        )
        with served(settings, dagster) as api:
            answer = api.call("GET", "/health/ready")

            assert answer.status_code == 503
            checks = answer.json()["checks"]
            assert answer.json()["status"] == "not_ready"
            assert checks["key_index"] == {
                "status": "unknown",
                "age_seconds": None,
                "latency_ms": None,
                "reason": "The key ledger has not been read yet.",
            }
            assert checks["dagster"]["status"] == "unhealthy"
            assert checks["bigquery"]["status"] == "unknown"
            assert api.call("GET", "/health").status_code == 200
            key = {"X-API-Key": "cvg_dev_" + "0" * 49}
            assert_is_error(api.call("GET", "/api/v1/tenants/me", headers=key), 503, "unavailable")


@pytest.mark.parametrize(("method", "path"), ADMIN_PATHS)
def test_a_missing_and_a_wrong_admin_key_get_the_same_403_before_the_body_is_read(
    api: Api, dagster: DagsterStandIn, method: str, path: str
) -> None:
    bodies = []
    for headers in (
        {},
        {"X-Admin-Key": "admin_wrong_key_1234"},
        {"X-Admin-Key": ""},
        {"X-API-Key": ADMIN_KEY},
    ):
        answer = api.call(method, path, headers=headers, content=b'{"malformed')
        error = assert_is_error(answer, 403, "forbidden")
        bodies.append({name: value for name, value in error.items() if name != "request_id"})

    assert all(body == bodies[0] for body in bodies)
    assert dagster.launches == []


def test_a_path_that_is_not_there_gets_404_in_our_shape(api: Api) -> None:
    for path in ("/", "/api/v2/health", "/admin/tenants", "/api/v1/admin/tenants/", "/docs/nothing"):
        assert_is_error(api.call("GET", path), 404, "not_found")


def test_a_method_that_is_not_there_gets_405_in_our_shape(api: Api) -> None:
    answer = api.call("PUT", "/api/v1/admin/bootstrap")

    assert_is_error(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_body_over_the_limit_gets_413_whether_its_length_is_told_or_not(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    settings = patiently(control_plane.settings).model_copy(update={"max_body_bytes": 1000})
    headers = {"X-Admin-Key": ADMIN_KEY, "Content-Type": "application/json"}
    big = json.dumps({"tenant_id": "acmecorp", "description": "a" * 1000}).encode()

    def in_pieces() -> Iterator[bytes]:
        yield big[:500]
        yield big[500:]

    with served(settings, dagster) as api:
        told = api.call("POST", "/api/v1/admin/tenants", content=big, headers=headers)
        untold = api.call("POST", "/api/v1/admin/tenants", content=in_pieces(), headers=headers)
        without_key = api.call("POST", "/api/v1/admin/tenants", content=in_pieces())

        for answer in (told, untold):
            error = assert_is_error(answer, 413, "body_too_large")
            assert error["message"] == "Send a smaller body: at most 1000 bytes are accepted."
        assert_is_error(without_key, 403, "forbidden")
        assert dagster.launches == []
        row = api.services.audit.log.page(1, AuditFilter(actor="administrator"))[0]
        assert (row.outcome, row.error_code, row.request_id) == (
            "REFUSED",
            "body_too_large",
            untold.headers["X-Request-ID"],
        )


def test_a_request_id_that_was_sent_comes_back_and_is_in_the_error(api: Api) -> None:
    answer = api.call("GET", "/nothing", headers={"X-Request-ID": "my-request.1"})

    assert answer.headers["X-Request-ID"] == "my-request.1"
    assert_is_error(answer, 404, "not_found")


@pytest.mark.parametrize("sent", ["", "a b", "a" * 129, '"quoted"', "x\ty"])
def test_a_request_id_that_is_no_token_is_replaced(api: Api, sent: str) -> None:
    answer = api.call("GET", "/health", headers={"X-Request-ID": sent})

    assert answer.headers["X-Request-ID"] != sent
    assert len(answer.headers["X-Request-ID"]) == 32


def test_every_answer_forbids_sniffing_and_those_of_the_api_caching(api: Api) -> None:
    health, admin, missing = (
        api.call("GET", "/health"),
        api.admin("GET", "/tenants"),
        api.call("GET", "/api/v1/nothing"),
    )

    for answer in (health, admin, missing):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers
    assert "Cache-Control" not in health.headers
    assert admin.headers["Cache-Control"] == missing.headers["Cache-Control"] == "no-store"


def test_one_log_line_per_request_has_the_guides_fields_and_no_secret(api: Api) -> None:
    path = f"/api/v1/admin/api-keys/{'ab' * 32}?reason=s3cret"
    trace = "0af7651916cd43dd8448eb211c80319c"
    with capture_logs() as lines:
        api.call("DELETE", path, headers={"X-Admin-Key": "s3cret", "X-Cloud-Trace-Context": f"{trace}/1;o=1"})

    (line,) = [line for line in lines if line["event"] == "Request completed"]
    assert line["method"] == "DELETE"
    assert line["path"] == "/api/v1/admin/api-keys/abababab..."
    assert line["status_code"] == 403
    assert line["duration_ms"] > 0
    assert line["tenant_id"] is None
    assert line["trace"] == trace
    assert "s3cret" not in str(lines)


def test_metrics_count_requests_by_route_and_tell_the_index_age(api: Api) -> None:
    api.call("GET", "/health")
    api.admin("GET", "/tenants/some_tenant")
    api.call("GET", "/made/up/path")
    api.call("PROPFIND", "/health")

    answer = api.call("GET", "/metrics")

    text = answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert 'convergence_http_requests_total{method="GET",route="/health",status="200"}' in text
    assert 'route="/api/v1/admin/tenants/{tenant_id}",status="404"' in text
    assert 'method="GET",route="unmatched",status="404"' in text
    assert 'method="OTHER"' in text
    assert "some_tenant" not in text
    assert "made/up" not in text
    assert "convergence_http_request_duration_seconds_bucket" in text
    assert "convergence_key_index_age_seconds " in text
    assert "convergence_key_index_keys " in text
    assert "convergence_tenant_index_age_seconds " in text
    assert "convergence_tenant_index_tenants " in text


def test_launched_runs_are_counted(api: Api) -> None:
    api.admin("POST", "/bootstrap", Prefer="respond-async")

    assert 'convergence_runs_launched_total{job="bootstrap"}' in api.call("GET", "/metrics").text


def test_browsers_may_call_from_the_origins_of_the_settings_and_from_no_other(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    settings = patiently(control_plane.settings).model_copy(update={"cors_origins": ("https://app.example",)})
    preflight = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-admin-key, idempotency-key",
    }
    with served(settings, dagster) as api:
        allowed = api.call(
            "OPTIONS", "/api/v1/admin/tenants", headers={"Origin": "https://app.example"} | preflight
        )
        refused = api.call(
            "OPTIONS", "/api/v1/admin/tenants", headers={"Origin": "https://evil.example"} | preflight
        )
        failing = api.call("GET", "/api/v1/admin/tenants", headers={"Origin": "https://app.example"})

    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert refused.status_code == 400
    assert "Access-Control-Allow-Origin" not in refused.headers
    assert failing.status_code == 403
    assert failing.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "X-Request-ID" in failing.headers["Access-Control-Expose-Headers"]


def local_settings(**fields: Any) -> Settings:
    return load_settings(_env_file=None, **fields)


def test_docs_are_there_in_development_and_off_in_production() -> None:
    in_development = {getattr(route, "path", "") for route in create_app(local_settings()).routes}
    in_production = {
        getattr(route, "path", "")
        for route in create_app(local_settings(environment=Environment.PRODUCTION)).routes
    }

    assert {"/docs", "/openapi.json"} <= in_development
    assert not {"/docs", "/openapi.json", "/redoc"} & in_production


def test_the_openapi_document_shows_keys_errors_and_examples(api: Api) -> None:
    document = api.call("GET", "/openapi.json").json()

    schemes = document["components"]["securitySchemes"]
    assert {scheme["name"] for scheme in schemes.values()} == {"X-Admin-Key", "X-API-Key"}
    create = document["paths"]["/api/v1/admin/tenants"]["post"]
    assert create["security"] == [{"AdminKey": []}]
    assert create["responses"].keys() >= {"200", "202", "403", "409", "413", "422", "429", "503"}
    assert "`tenant_exists`" in create["responses"]["409"]["description"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    wanted = document["components"]["schemas"]["TenantWanted"]
    assert wanted["additionalProperties"] is False
    assert wanted["examples"][0]["tenant_id"] == "acmecorp"
    for path, calls in document["paths"].items():
        for call in calls.values():
            assert call["summary"], path
            assert call["tags"], path


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("post", "/tenants", {"202", "409", "413", "422", "429"}),
        ("post", "/tenants:batch", {"202", "409", "413", "422", "429"}),
        ("get", "/tenant-batches/{batch_id}", {"200", "404"}),
        ("put", "/tenants/{tenant_id}/plan", {"200", "202", "404", "409", "413", "422"}),
        ("post", "/tenants/{tenant_id}/suspend", {"200", "202", "404", "409", "413", "422"}),
        ("post", "/tenants/{tenant_id}/resume", {"200", "202", "404", "409", "413", "422"}),
        ("delete", "/tenants/{tenant_id}", {"200", "202", "404", "409", "422"}),
        ("get", "/tenant-requests", {"200", "422"}),
        ("get", "/tenant-requests/{request_id}", {"200", "404"}),
    ],
)
def test_every_call_about_tenants_documents_what_it_can_answer(
    api: Api, method: str, path: str, codes: set[str]
) -> None:
    document = api.call("GET", "/openapi.json").json()

    call = document["paths"][f"/api/v1/admin{path}"][method]
    assert call["responses"].keys() >= codes | {"403", "503"}
    assert call["security"] == [{"AdminKey": []}]
    if method != "get":
        assert "Idempotency-Key" in [parameter["name"] for parameter in call["parameters"]]
    items = document["components"]["schemas"]["BatchWanted"]["properties"]["tenants"]["items"]
    assert items["$ref"].rpartition("/")[2] in document["components"]["schemas"]


@pytest.mark.parametrize(
    "fields",
    [{"rate_limit_storage_url": "nonsense://x"}, {"admin_api_key": "cvgadm_prod_" + "0" * 49}],
)
def test_settings_that_cannot_be_used_are_told_before_anything_starts(fields: dict[str, str]) -> None:
    with pytest.raises(PermanentError) as raised:
        create_app(local_settings(**fields))

    assert raised.value.code is ErrorCode.INVALID_SETTINGS


def test_a_process_with_wrong_settings_ends_with_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_PORT", "high")

    with pytest.raises(SystemExit) as ended:
        create_app()

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("API_PORT is wrong")


def test_a_process_reads_its_settings_and_sets_up_its_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "8123")
    before = logging.getLogger().handlers[:]
    servers, access = logging.getLogger("uvicorn"), logging.getLogger("uvicorn.access")
    servers.handlers, servers.propagate = [logging.NullHandler()], False  # as uvicorn's command leaves them
    try:
        app = create_app()

        assert app.state.settings.api_port == 8123
        assert (servers.handlers, servers.propagate) == ([], True)
        assert access.disabled
    finally:
        logging.getLogger().handlers[:] = before
        access.disabled = False


def test_disabled_authentication_lets_everybody_administrate_but_tenants_still_need_their_key(
    control_plane: ControlPlane, dagster: DagsterStandIn
) -> None:
    settings = patiently(control_plane.settings).model_copy(update={"disable_auth": True})
    with served(settings, dagster) as api:
        assert api.call("GET", "/api/v1/admin/tenants").status_code == 200
        assert api.call("GET", "/api/v1/admin/tenants", headers={"X-Admin-Key": "wrong"}).status_code == 200
        assert_is_error(api.call("GET", "/api/v1/tenants/me"), 401, "unauthorized")
