"""The guide's three suites, each against a platform of its environment, which is started for it on this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from convergence_orchestration.api.dagster_client import DagsterClient
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform, free_base_port

pytestmark = pytest.mark.e2e

_EVALUATIONS = """query($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection { events {
    ... on AssetCheckEvaluationEvent { evaluation { checkName success description } } } } } }"""


@contextmanager
def running(path: Path, environment: str) -> Iterator[Platform]:
    platform = Platform(path / "data", free_base_port(), environment)
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


def suite(platform: Platform, name: str) -> str:
    """The table that `convergence suite` prints, if every test passed."""
    return platform.convergence("suite", name).stdout


def key_rings(platform: Platform) -> list[str]:
    where = "projects/convergence-local/locations/us-central1/keyRings"
    found = httpx.get(f"http://127.0.0.1:{platform.base_port + 4}/v1/{where}").json()["keyRings"]
    return [ring["name"].rpartition("/")[2] for ring in found]


def run_from_the_ui(platform: Platform, job: str) -> dict[str, dict[str, Any]]:
    """Launch a job of asset checks as the UI does; what each check found, by its name."""

    async def launch() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            dagster = DagsterClient(http, platform.dagster_url)
            run_id = await dagster.launch(job, {}, {})
            assert (await dagster.wait(run_id, PATIENCE)).error(dagster.run_url(run_id)) is None
            return run_id

    events = platform.graphql(_EVALUATIONS, id=anyio.run(launch))["logsForRun"]["events"]
    found = [event["evaluation"] for event in events if "evaluation" in event]
    return {each["checkName"]: each for each in found}


def test_development_passes_the_local_suite(platform: Platform) -> None:
    assert suite(platform, "local").count("PASSED") == 10


def test_staging_has_tls_and_its_own_keys_and_passes_its_suite_from_dagsters_ui(tmp_path: Path) -> None:
    with running(tmp_path, "staging") as platform:
        found = run_from_the_ui(platform, "run_staging_suite")

        assert len(found) == 10
        assert not [each for each in found.values() if not each["success"]]
        in_clear = httpx.get(f"http://127.0.0.1:{platform.base_port}/health")
        assert in_clear.status_code == httpx.codes.FOUND
        https = f"https://127.0.0.1:{platform.base_port + 6}"
        assert in_clear.headers["Location"] == f"{https}/health"
        assert key_rings(platform) == ["convergence-keyring-staging"]
        assert platform.admin_key.startswith("cvgadm_staging_")


def test_production_says_why_its_first_release_passed_the_check_list_and_passes_its_suite(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "production") as platform:
        assert suite(platform, "production").count("PASSED") == 10

        status = platform.status()
        assert status["api_url"] == f"https://convergence-api-prod.localhost:{platform.base_port + 6}"
        assert len(status["instances"]) == 2
        listed = platform.convergence("audit", "list", "--action", "release.overridden", "--json")
        rows = json.loads(listed.stdout)
        waived = [json.loads(row["details"]) for row in rows]
        assert {row["actor"] for row in rows} == {"convergence up"}
        assert {each["item"] for each in waived} == {
            "staging_suite",
            "load_test",
            "security_review",
            "on_call",
            "backup",
        }
        assert all("first release" in each["reason"] for each in waived)
