import http.client
import json
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.kms_v1 import CryptoKey, KeyManagementServiceClient
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceRestTransport
from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient, SecretPayload
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceRestTransport,
)
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration_tests.local_gcp.clouds import Cloud


def _asked(cloud: Cloud, verb: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", cloud.ports.rest, timeout=10)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(verb, path, content, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def _rest(cloud: Cloud) -> dict[str, Any]:
    return {
        "host": f"127.0.0.1:{cloud.ports.rest}",
        "url_scheme": "http",
        "credentials": AnonymousCredentials(),  # type: ignore[no-untyped-call]
    }


def test_the_official_clients_work_over_rest_too(cloud: Cloud) -> None:
    secrets = SecretManagerServiceClient(transport=SecretManagerServiceRestTransport(**_rest(cloud)))
    secret = cloud.secret(labels={"team": "platform"})

    version = secrets.add_secret_version(parent=secret, payload=SecretPayload(data=b"\x00the key"))
    secrets.update_secret(
        secret=Secret(name=secret, version_aliases={"current": 1}),
        update_mask=FieldMask(paths=["version_aliases"]),
    )

    assert secrets.access_secret_version(name=f"{secret}/versions/current").payload.data == b"\x00the key"
    assert [
        found.name for found in secrets.list_secrets(request={"parent": f"projects/{cloud.project}"})
    ] == [secret]
    assert secrets.destroy_secret_version(name=version.name).state == 3
    secrets.delete_secret(name=secret)
    with pytest.raises(exceptions.NotFound, match=r"Secret \["):
        secrets.get_secret(name=secret)


def test_keys_work_over_rest_as_they_do_over_grpc(cloud: Cloud) -> None:
    kms = KeyManagementServiceClient(transport=KeyManagementServiceRestTransport(**_rest(cloud)))
    key = cloud.key()

    sealed = kms.encrypt(
        request={"name": key, "plaintext": b"\xfftext", "additional_authenticated_data": b"tenant"}
    )
    kms.update_crypto_key(
        crypto_key=CryptoKey(
            name=key, labels={"team": "platform"}, next_rotation_time="2027-01-01T00:00:00Z"
        ),
        update_mask=FieldMask(paths=["labels", "next_rotation_time"]),
    )
    policy = kms.set_iam_policy(
        request={"resource": key, "policy": {"bindings": [{"role": "roles/viewer", "members": ["allUsers"]}]}}
    )

    opened = cloud.kms.decrypt(
        request={"name": key, "ciphertext": sealed.ciphertext, "additional_authenticated_data": b"tenant"}
    )
    assert opened.plaintext == b"\xfftext"
    assert kms.get_crypto_key(name=key) == cloud.kms.get_crypto_key(name=key)
    assert dict(kms.get_crypto_key(name=key).labels) == {"team": "platform"}
    assert kms.get_iam_policy(request={"resource": key}) == policy


def test_plain_http_creates_lists_and_updates(cloud: Cloud) -> None:
    ring = f"/v1/{cloud.location}/keyRings"

    assert _asked(cloud, "POST", f"{ring}?keyRingId=ring", {})[0] == 200
    status, key = _asked(
        cloud,
        "POST",
        f"{ring}/ring/cryptoKeys?cryptoKeyId=key&skipInitialVersionCreation=true&alt=json",
        {"purpose": "ENCRYPT_DECRYPT"},
    )
    assert status == 200
    assert "primary" not in key
    assert key["destroyScheduledDuration"] == "2592000s"
    path = f"/v1/{key['name']}"
    assert _asked(cloud, "PATCH", f"{path}?update_mask=labels", {"labels": {"a": "b"}})[1]["labels"] == {
        "a": "b"
    }
    assert _asked(cloud, "GET", f"{path}?$alt=json%3Benum-encoding%3Dint")[1]["purpose"] == 1
    assert _asked(cloud, "GET", f"{ring}/ring/cryptoKeys?pageSize=1&versionView=1")[1]["totalSize"] == 1
    tested = f"{path}:testIamPermissions"
    assert _asked(cloud, "POST", tested, {"permissions": ["cloudkms.cryptoKeys.get"]})[1]["permissions"]
    policy = _asked(cloud, "GET", f"{path}:getIamPolicy?options.requestedPolicyVersion=3")[1]
    assert policy == {"etag": "ACAB"}


def test_refusals_have_the_body_of_googles_apis(cloud: Cloud) -> None:
    status, body = _asked(cloud, "GET", f"/v1/projects/{cloud.project}/secrets/none")

    assert status == 404
    assert body["error"]["code"] == 404
    assert body["error"]["status"] == "NOT_FOUND"
    assert body["error"]["details"][0]["domain"] == "secretmanager.googleapis.com"
    assert body["error"]["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("GET", "/v2/anything", None, 404),
        ("DELETE", "/v1/projects/p/secrets", None, 404),
        ("GET", "/v1/projects/p/locations", None, 501),
        ("POST", "/v1/projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1:macSign", {}, 501),
        ("POST", "/v1/projects/platform/secrets?secretId=s", b"no json", 400),
        ("POST", "/v1/projects/platform/secrets?secretId=s", [], 400),
        ("POST", "/v1/projects/platform/secrets?secretId=s", {"unknown": 1}, 400),
        ("POST", "/v1/projects/platform/secrets?unknown=s", {"replication": {"automatic": {}}}, 400),
        ("GET", "/v1/projects/platform/secrets?pageSize=many", None, 400),
        ("GET", "/v1/projects/platform/secrets?pageSize.of=1", None, 400),
        ("PUT", "/v1/projects/platform/secrets", {}, 404),
    ],
)
def test_what_is_no_request_of_a_service_is_refused(
    cloud: Cloud, verb: str, path: str, body: object, status: int
) -> None:
    answered, content = _asked(cloud, verb, path, body)

    assert answered == status
    assert content["error"]["code"] == status


def test_a_body_that_is_too_large_is_refused_before_it_is_read(cloud: Cloud) -> None:
    path = "/v1/projects/platform/secrets?secretId=s"

    for length in ("10000001", "many"):
        assert _asked(cloud, "POST", path, None, **{"Content-Length": length})[0] == 400


def test_faults_are_met_over_rest_too_but_health_is_always_answered(cloud: Cloud) -> None:
    cloud.faults_file.write_text("- {method: '*', code: 503}\n")

    status, body = _asked(cloud, "GET", f"/v1/projects/{cloud.project}/secrets")

    assert (status, body["error"]["status"]) == (503, "UNAVAILABLE")
    assert _asked(cloud, "GET", "/healthz") == (200, {"status": "ok"})
