"""The guide's own gcloud lines find what was prepared, and what they made is found prepared."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.environment.model import Action
from convergence_orchestration.environment.preparing import prepare
from convergence_orchestration.local_gcp.gcloud import gcloud_environment
from convergence_orchestration_tests.emulators import Emulator

pytestmark = pytest.mark.skipif(
    shutil.which("gcloud") is None, reason="gcloud is not installed: the guide's gcloud lines were not run"
)
KEY = ["api-key-encryption", "--location=us-central1", "--keyring=convergence-keyring-staging"]


@pytest.fixture
def gcloud(cloud: Cloud, local_gcp: Emulator, tmp_path: Path) -> Callable[..., str]:
    variables = gcloud_environment(local_gcp.rest_port, cloud.settings.gcp_project_id, tmp_path)

    def run(*words: str) -> str:
        ended = subprocess.run(
            ["gcloud", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            check=False,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run


def test_the_guides_lines_find_what_was_prepared(cloud: Cloud, gcloud: Callable[..., str]) -> None:
    list(prepare(cloud, datetime.now(UTC)))

    policy = json.loads(gcloud("kms", "keys", "get-iam-policy", *KEY, "--format=json"))
    key = gcloud("secrets", "versions", "access", "latest", "--secret=admin-api-key-staging")

    (binding,) = policy["bindings"]
    assert binding["members"] == [cloud.declared.member]
    assert key.startswith("cvgadm_staging_")


def test_what_the_guides_lines_made_is_found(cloud: Cloud, gcloud: Callable[..., str]) -> None:
    gcloud("kms", "keyrings", "create", "convergence-keyring-staging", "--location=us-central1")
    gcloud("kms", "keys", "create", *KEY, "--purpose=encryption")
    role = "--role=roles/cloudkms.cryptoKeyEncrypterDecrypter"
    gcloud("kms", "keys", "add-iam-policy-binding", *KEY, f"--member={cloud.declared.member}", role)

    ring, key, _, sealing, *_ = prepare(cloud, datetime.now(UTC))

    assert ring.action is sealing.action is Action.EXISTED
    assert [each.found for each in key.changed] == ["never"]
