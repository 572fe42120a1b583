"""The container files, as far as they can be judged without a container: what they copy, what they install, what that can do."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from convergence_orchestration.local_gcp.cloud_build.source import dockerfile_command
from convergence_orchestration_tests.deploy.files import DOCKERFILES, ROOT, instructions, pins
from convergence_orchestration_tests.emulators import free_port

BIN = Path(sys.executable).parent
CLOSURE = Path(__file__).with_name("closure.py")
ONLY_LOCAL = ("convergence_orchestration.local_gcp.", "convergence_orchestration.local_platform.")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (made,) = into.glob("*.whl")
    return made


def environment_of(lock: str, wheel: Path, into: Path) -> Path:
    """What an image has in /venv; its python. Packages are links into uv's cache, which `make setup` filled."""
    uv, python = str(BIN / "uv"), into / "bin" / "python"
    for arguments in (
        ["venv", "--quiet", "--python", sys.executable, str(into)],
        ["pip", "sync", "--quiet", "--python", str(python), "--require-hashes", str(ROOT / lock)],
        ["pip", "install", "--quiet", "--python", str(python), "--no-deps", str(wheel)],
    ):
        subprocess.run([uv, *arguments], check=True, cwd=into.parent)
    return python


def missing(python: Path, *roots: str) -> dict[str, str]:
    """What modules of ours need that this environment does not have, by `closure.py`."""
    command = [str(python), "-P", str(CLOSURE), str(ROOT), *roots]
    done = subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def api(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_of("deploy/locks/api.lock", wheel, tmp_path_factory.mktemp("api") / "venv")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_dockerfile_copies_is_there_and_reaches_the_builder(dockerfile: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    sources = [
        source
        for word, rest in instructions(dockerfile)
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]

    assert "*" in ignored
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(fnmatch.fnmatch(source.split("/")[0], name) for name in kept)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    done = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_image_runs_as_nobody_and_installs_by_hash(dockerfile: Path) -> None:
    words = instructions(dockerfile)
    installs = [rest for word, rest in words if word == "RUN" and ".lock" in rest]

    assert [rest for word, rest in words if word == "USER"] == ["65534:65534"]
    assert installs
    assert all(part.count(".lock") == part.count("--require-hashes -r") for part in installs)


def test_the_local_cloud_build_finds_the_apis_command() -> None:
    command = dockerfile_command((ROOT / "Dockerfile").read_text())

    assert command == ("/bin/sh", "-c", "API_PORT=$PORT exec python -m convergence_orchestration.api")


@pytest.mark.parametrize("lock", ["api", "dagster", "build"])
def test_an_image_has_the_versions_that_were_tested(lock: str) -> None:
    tested, found = pins("requirements.lock"), pins(f"deploy/locks/{lock}.lock")

    assert found
    assert found.items() <= tested.items()


def test_the_apis_lock_names_nothing_of_dagster_nor_of_the_emulators() -> None:
    found = pins("deploy/locks/api.lock")

    assert [name for name in found if name.startswith(("dagster", "duckdb", "envoy", "local-bigquery"))] == []
    assert len(found) < len(pins("deploy/locks/dagster.lock")) / 2


def test_the_api_needs_nothing_that_its_image_does_not_have(api: Path) -> None:
    assert missing(api, "convergence_orchestration.api.__main__") == {}
    assert not list(api.parents[1].glob("lib/*/site-packages/dagster*"))


def test_what_is_missing_would_be_found(api: Path) -> None:
    absent = missing(api, "convergence_orchestration.definitions")

    assert {"dagster", "dagster_gcp"} <= absent.keys()


def test_the_api_answers_in_an_environment_without_dagster(api: Path, tmp_path: Path) -> None:
    port = free_port()
    nowhere = f"127.0.0.1:{free_port()}"
    services = ("KMS", "SECRET_MANAGER", "RUN", "BUILD", "MONITORING", "LOGGING")
    environment = {
        "PATH": f"{api.parent}:{os.environ['PATH']}",
        "PORT": str(port),
        "API_HOST": "127.0.0.1",
        "BIGQUERY_EMULATOR_HOST": f"http://{nowhere}",
        **{f"{name}_EMULATOR_HOST": nowhere for name in services},
    }
    command = dockerfile_command((ROOT / "Dockerfile").read_text())
    log = (tmp_path / "log").open("wb")
    child = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        assert answered(f"http://127.0.0.1:{port}/health", child)["status"] == "healthy", (
            tmp_path / "log"
        ).read_text()
    finally:
        child.kill()
        child.wait(30)
        log.close()


def answered(url: str, child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The answer, as soon as there is one; empty if the process ends before."""
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        try:
            found: dict[str, Any] = httpx.get(url, timeout=5, trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return found
    return {}


def test_dagsters_processes_need_nothing_that_their_image_does_not_have(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    into = tmp_path_factory.mktemp("dagster") / "venv"
    python = environment_of("deploy/locks/dagster.lock", wheel, into)

    absent = missing(
        python,
        "convergence_orchestration.definitions",
        "convergence_orchestration.launcher",
        "convergence_orchestration.launching.worker",
        "convergence_orchestration.launching.dagster_process",
        "convergence_orchestration.cli.__main__",
        *ONLY_LOCAL,
    )

    assert absent == {}
    for name in ("dagster-webserver", "dagster-daemon", "dagster", "convergence"):
        assert (python.parent / name).exists()
    for module in ("dagster_postgres", "dagster_k8s", "dagster_gcp"):
        assert list(into.glob(f"lib/*/site-packages/{module}"))
    shutil.rmtree(into)
