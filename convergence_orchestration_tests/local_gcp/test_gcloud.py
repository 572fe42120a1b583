"""The guide's own gcloud lines, run unchanged."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from convergence_orchestration.local_gcp.gcloud import gcloud_environment
from convergence_orchestration_tests.local_gcp.clouds import Cloud

_MEMBER = "serviceAccount:convergence-api-staging@your-project.iam.gserviceaccount.com"
_KEY = ["--location=us-central1", "--keyring=convergence-keyring-staging"]

needs_gcloud = pytest.mark.skipif(
    shutil.which("gcloud") is None, reason="gcloud is not installed: the guide's gcloud lines were not run"
)


class Gcloud:
    def __init__(self, cloud: Cloud, home: Path) -> None:
        variables = gcloud_environment(cloud.ports.rest, cloud.project, home)
        self._environment = {**os.environ, **variables}

    def __call__(self, *words: str, stdin: bytes = b"") -> bytes:
        ended = subprocess.run(
            ["gcloud", *words],
            input=stdin,
            capture_output=True,
            env=self._environment,
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout


@pytest.fixture
def gcloud(cloud: Cloud, tmp_path: Path) -> Gcloud:
    return Gcloud(cloud, tmp_path)


@needs_gcloud
def test_the_guides_kms_lines_work(cloud: Cloud, gcloud: Gcloud, tmp_path: Path) -> None:
    gcloud("kms", "keyrings", "create", "convergence-keyring-staging", "--location=us-central1")
    gcloud("kms", "keys", "create", "api-key-encryption", *_KEY, "--purpose=encryption")
    gcloud(
        *("kms", "keys", "add-iam-policy-binding", "api-key-encryption", *_KEY),
        *(f"--member={_MEMBER}", "--role=roles/cloudkms.cryptoKeyEncrypterDecrypter"),
    )
    policy = json.loads(gcloud("kms", "keys", "get-iam-policy", "api-key-encryption", *_KEY, "--format=json"))
    assert policy["bindings"] == [
        {"members": [_MEMBER], "role": "roles/cloudkms.cryptoKeyEncrypterDecrypter"}
    ]

    files = ["--plaintext-file=-", f"--ciphertext-file={tmp_path / 'sealed'}"]
    gcloud("kms", "encrypt", *_KEY, "--key=api-key-encryption", *files, stdin=b"a tenant's key")
    files = ["--plaintext-file=-", f"--ciphertext-file={tmp_path / 'sealed'}"]
    assert gcloud("kms", "decrypt", *_KEY, "--key=api-key-encryption", *files) == b"a tenant's key"

    name = f"{cloud.location}/keyRings/convergence-keyring-staging/cryptoKeys/api-key-encryption"
    sealed = (tmp_path / "sealed").read_bytes()
    assert cloud.kms.decrypt(name=name, ciphertext=sealed).plaintext == b"a tenant's key"


@needs_gcloud
def test_the_guides_secret_lines_work(cloud: Cloud, gcloud: Gcloud) -> None:
    key = b"cvgadm_staging_made_up"
    gcloud(
        *("secrets", "create", "admin-api-key-staging", "--data-file=-", "--replication-policy=automatic"),
        stdin=key,
    )
    gcloud(
        *("secrets", "add-iam-policy-binding", "admin-api-key-staging"),
        *(f"--member={_MEMBER}", "--role=roles/secretmanager.secretAccessor"),
    )

    assert gcloud("secrets", "versions", "access", "latest", "--secret=admin-api-key-staging") == key
    secret = f"projects/{cloud.project}/secrets/admin-api-key-staging"
    assert cloud.secrets.access_secret_version(name=f"{secret}/versions/1").payload.data == key
    (binding,) = cloud.secrets.get_iam_policy(request={"resource": secret}).bindings
    assert binding.members == [_MEMBER]


def test_the_users_own_configuration_is_not_touched(tmp_path: Path) -> None:
    variables = gcloud_environment(8004, "convergence-local", tmp_path)

    assert variables["CLOUDSDK_CONFIG"] == str(tmp_path / "gcloud")
    assert variables["CLOUDSDK_CORE_PROJECT"] == "convergence-local"
    assert variables["CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS"] == "http://127.0.0.1:8004/"
    assert set(variables) <= {name for name in variables if name.startswith("CLOUDSDK_")}
