import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud.kms_v1 import CryptoKey, KeyRing
from google.cloud.secretmanager_v1 import Secret, SecretManagerServiceClient, SecretPayload

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.local_gcp.refusals import Refusal
from convergence_orchestration.local_gcp.rpc import Service
from convergence_orchestration.local_gcp.server import Ports, serving
from convergence_orchestration.local_gcp.store import Due
from convergence_orchestration_tests.emulators import fresh_project_id, running_local_gcp, stop
from convergence_orchestration_tests.local_gcp.clouds import Cloud, clients, interrupts_ignored, running_cloud

_SECRET = b"cvgadm_dev_not_to_be_found_in_any_file"
_REPLICATED = Secret({"replication": {"automatic": {}}})


def _add_for_ever(secrets: SecretManagerServiceClient, secret: str, added: list[str]) -> None:
    while True:
        added.append(secrets.add_secret_version(parent=secret, payload=SecretPayload(data=_SECRET)).name)


def test_every_answered_change_survives_kill_minus_nine(tmp_path: Path) -> None:
    parent = f"projects/{fresh_project_id()}"
    added: list[str] = []

    with running_local_gcp(tmp_path) as (emulator, child), clients(emulator.grpc_address) as (_, secrets):
        secret = secrets.create_secret(parent=parent, secret_id="key", secret=_REPLICATED).name
        killer = threading.Timer(0.3, child.kill)
        killer.start()
        with pytest.raises(exceptions.GoogleAPICallError):
            _add_for_ever(secrets, secret, added)
        assert child.wait() == -signal.SIGKILL

    with (
        interrupts_ignored(),
        running_local_gcp(tmp_path) as (emulator, child),
        clients(emulator.grpc_address) as (_, secrets),
    ):
        found = [version.name for version in secrets.list_secret_versions(parent=secret)][::-1]
        assert added
        assert found[: len(added)] == added
        assert len(found) <= len(added) + 1  # the one under way may have been committed
        assert secrets.access_secret_version(name=added[-1]).payload.data == _SECRET
        assert stop(child) == 0  # though it was started with SIGINT ignored


def test_no_file_shows_a_secret_and_all_files_are_the_owners_alone(tmp_path: Path) -> None:
    with (
        running_local_gcp(tmp_path / "cloud") as (emulator, _),
        clients(emulator.grpc_address) as (kms, secrets),
    ):
        location = f"projects/{fresh_project_id()}/locations/us-central1"
        secret = secrets.create_secret(
            parent=location.split("/locations", maxsplit=1)[0], secret_id="key", secret=_REPLICATED
        )
        secrets.add_secret_version(parent=secret.name, payload=SecretPayload(data=_SECRET))
        ring = kms.create_key_ring(parent=location, key_ring_id="ring", key_ring=KeyRing())
        key = kms.create_crypto_key(
            parent=ring.name,
            crypto_key_id="key",
            crypto_key=CryptoKey(purpose=CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT),
        )
        sealed = kms.encrypt(name=key.name, plaintext=_SECRET)
        assert kms.decrypt(name=key.name, ciphertext=sealed.ciphertext).plaintext == _SECRET

        files = [path for path in (tmp_path / "cloud").iterdir() if path.name != "process.log"]
        assert {path.name for path in files} >= {
            "local-gcp.sqlite3",
            "local-gcp.key",
            "local-gcp.sqlite3-wal",
        }
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for path in (tmp_path / "cloud").iterdir():
            assert _SECRET not in path.read_bytes()


def test_twenty_threads_adding_versions_get_twenty_numbers(cloud: Cloud) -> None:
    secret = cloud.secret()

    with ThreadPoolExecutor(20) as threads:
        names = list(threads.map(lambda number: cloud.add(secret, b"%d" % number), range(20)))

    assert sorted(names) == sorted(f"{secret}/versions/{number}" for number in range(1, 21))
    read = {cloud.secrets.access_secret_version(name=name).payload.data for name in names}
    assert read == {b"%d" % number for number in range(20)}


def test_of_twenty_threads_creating_one_secret_one_succeeds(cloud: Cloud) -> None:
    def create(_: int) -> bool:
        try:
            cloud.secret()
        except exceptions.AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        assert sum(threads.map(create, range(20))) == 1


def test_a_refused_change_leaves_nothing_behind(cloud: Cloud) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        cloud.key(labels={"Wrong": "label"})

    (ring,) = cloud.kms.list_key_rings(parent=cloud.location)
    assert not list(cloud.kms.list_crypto_keys(parent=ring.name))


def test_a_directory_without_its_key_file_is_refused(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        cloud.add(cloud.secret())
    (tmp_path / "local-gcp.key").unlink()

    with pytest.raises(PermanentError, match=r"Restore local-gcp\.key") as refused, serving(tmp_path):
        pass
    assert refused.value.code is ErrorCode.DATA_CORRUPTED


def test_a_key_file_of_another_directory_opens_nothing_and_says_so(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud:
        name = cloud.add(cloud.secret())
    (tmp_path / "local-gcp.key").write_bytes(bytes(32))

    with (
        running_cloud(tmp_path) as cloud,
        pytest.raises(exceptions.InternalServerError, match="Restore the data"),
    ):
        cloud.secrets.access_secret_version(name=name)


def test_a_defect_is_answered_as_an_internal_error_without_its_text(cloud: Cloud) -> None:
    name = cloud.secret()
    (cloud.data_dir / "local-gcp.sqlite3").chmod(0o600)
    cloud.faults_file.mkdir()  # a directory is no file of faults, and no defect either
    assert cloud.secrets.get_secret(name=name)

    cloud.clock.now = cloud.clock.now.replace(tzinfo=None)  # a time that cannot be compared
    with pytest.raises(exceptions.InternalServerError, match="Look into the local cloud's log"):
        cloud.secrets.get_secret(name=name)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(PermanentError, match=f"another --grpc-port: {port}"),
            serving(tmp_path, Ports(port, 0)),
        ):
            pass
        with (
            pytest.raises(PermanentError, match=f"another --rest-port: {port}"),
            serving(tmp_path, Ports(0, port)),
        ):
            pass
        command = [
            sys.executable,
            "-m",
            "convergence_orchestration.local_gcp.server",
            "--data-dir",
            str(tmp_path),
        ]
        ended = subprocess.run(
            [*command, "--grpc-port", "0", "--rest-port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert f"Choose another --rest-port: {port} is taken." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_wrong_settings_end_the_start_with_their_sentence(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "convergence_orchestration.local_gcp.server",
        "--data-dir",
        str(tmp_path),
    ]
    ended = subprocess.run(
        [*command, "--grpc-port", "0", "--rest-port", "0"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOG_LEVEL": "LOUD"},
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith("LOG_LEVEL is wrong")


def test_the_process_logs_json_lines(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("- nonsense")
    with running_local_gcp(tmp_path) as (emulator, _), clients(emulator.grpc_address) as (_, secrets):
        with pytest.raises(exceptions.NotFound):
            secrets.get_secret(name="projects/platform/secrets/none")
        lines = [json.loads(line) for line in (tmp_path / "process.log").read_text().splitlines()]

    by_message = {line["msg"].split(".")[0]: line for line in lines}
    assert by_message["The local cloud is served"]["grpc_port"] == emulator.grpc_port
    assert by_message["The faults file is wrong; correct it"]["severity"] == "ERROR"
    assert by_message["Answered"]["code"] == "NOT_FOUND"


def test_a_service_must_say_what_its_timers_do(cloud: Cloud) -> None:
    with pytest.raises(NotImplementedError):
        Service().elapsed(Due("name", "event", cloud.clock.now), None)  # type: ignore[arg-type]


def test_a_refusal_is_not_an_error_of_ours() -> None:
    assert not issubclass(Refusal, PermanentError)
