import os
import time
from pathlib import Path

import pytest
from google.api_core import exceptions
from structlog.testing import capture_logs

from convergence_orchestration.local_gcp.faults import NO_FAULT, Faults
from convergence_orchestration_tests.local_gcp.clouds import Cloud

_ENCRYPT = "google.cloud.kms.v1.KeyManagementService/Encrypt"


def _outcomes(faults: Faults, calls: int, name: str = _ENCRYPT) -> str:
    """One letter a call: x met a fault, . did not."""
    return "".join("." if faults.meet(name) == NO_FAULT else "x" for _ in range(calls))


def _faults(tmp_path: Path, text: str) -> Faults:
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    return Faults(path)


@pytest.mark.parametrize(
    ("how_often", "outcomes"),
    [
        ("", "xxxxxxx"),
        ("times: 2", "xx....."),
        ("every: 3", "..x..x."),
        ("{every: 3, times: 1}", "..x...."),
    ],
)
def test_a_rule_counts_the_calls_that_it_is_for(tmp_path: Path, how_often: str, outcomes: str) -> None:
    counted = "\n  ".join(part.strip() for part in how_often.strip("{}").split(","))

    faults = _faults(tmp_path, f"- method: '*/Encrypt'\n  code: UNAVAILABLE\n  {counted}\n")

    assert _outcomes(faults, 3, "google.cloud.kms.v1.KeyManagementService/Decrypt") == "..."
    assert _outcomes(faults, 7) == outcomes


def test_the_first_rule_that_applies_is_used(tmp_path: Path) -> None:
    faults = _faults(
        tmp_path,
        "- {method: '*', code: ABORTED, times: 1}\n- {method: '*', code: 429, reason: rateLimitExceeded}\n",
    )

    first, second = faults.meet(_ENCRYPT), faults.meet(_ENCRYPT)

    assert first.code is not None
    assert second.code is not None
    assert (first.code.name, first.code.http_status) == ("ABORTED", 409)
    assert (second.code.name, second.reason) == ("RESOURCE_EXHAUSTED", "rateLimitExceeded")


def test_an_http_status_without_a_canonical_code_is_kept(tmp_path: Path) -> None:
    fault = _faults(tmp_path, "- {method: '*', code: 418}").meet("POST /tea")

    assert fault.code is not None
    assert (fault.code.name, fault.code.http_status) == ("UNKNOWN", 418)


def test_a_changed_file_is_read_again_and_a_missing_one_means_no_faults(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    faults = Faults(path)
    assert _outcomes(faults, 2) == ".."

    path.write_text("- {method: '*', code: ABORTED, times: 1}", encoding="utf-8")
    assert _outcomes(faults, 2) == "x."
    path.write_text("- {method: '*', code: ABORTED, times: 2}", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert _outcomes(faults, 3) == "xx."
    path.unlink()
    assert _outcomes(faults, 2) == ".."


@pytest.mark.parametrize(
    "text",
    [
        "- method: [",
        "method: x",
        "- {code: UNAVAILABLE}",
        "- {method: '*'}",
        "- {method: '*', code: TIRED}",
        "- {method: '*', code: 200}",
        "- {method: '*', code: 503, unknown: 1}",
        "- {method: '*', delay_seconds: -1}",
    ],
)
def test_a_wrong_file_is_reported_once_and_means_no_faults(tmp_path: Path, text: str) -> None:
    faults = _faults(tmp_path, text)

    with capture_logs() as lines:
        assert _outcomes(faults, 3) == "..."
    assert [line["log_level"] for line in lines] == ["error"]
    assert lines[0]["event"].startswith("The faults file is wrong")


def test_a_call_meets_its_fault_and_the_next_succeeds(cloud: Cloud) -> None:
    secret = cloud.secret()
    cloud.faults_file.write_text("- {method: '*/AddSecretVersion', code: RESOURCE_EXHAUSTED, times: 1}\n")

    with pytest.raises(exceptions.ResourceExhausted, match="faults file") as refused:
        cloud.add(secret)

    assert refused.value.reason == "RESOURCE_EXHAUSTED"
    assert cloud.add(secret).endswith("/1")


def test_a_client_with_its_own_retries_does_not_notice_an_unavailable_service(cloud: Cloud) -> None:
    key = cloud.key()
    cloud.faults_file.write_text(f"- {{method: {_ENCRYPT}, code: UNAVAILABLE, times: 2}}\n")

    assert cloud.kms.encrypt(name=key, plaintext=b"text").name


def test_a_slow_call_runs_into_its_deadline(cloud: Cloud) -> None:
    key = cloud.key()
    cloud.faults_file.write_text("- {method: '*/Decrypt', delay_seconds: 600}\n")

    with pytest.raises((exceptions.DeadlineExceeded, exceptions.RetryError)):
        cloud.kms.decrypt(name=key, ciphertext=b"text", timeout=0.2, retry=None)


def test_a_short_delay_is_only_a_delay(cloud: Cloud) -> None:
    key = cloud.key()
    cloud.faults_file.write_text("- {method: '*/Encrypt', delay_seconds: 0.05}\n")
    begin = time.monotonic()

    cloud.kms.encrypt(name=key, plaintext=b"text")

    assert time.monotonic() - begin >= 0.05


def test_an_answer_can_arrive_damaged(cloud: Cloud) -> None:
    key, version = cloud.key(), cloud.add(cloud.secret(), b"payload")
    whole = cloud.kms.encrypt(name=key, plaintext=b"text")
    cloud.faults_file.write_text(
        "- {method: '*/Encrypt', corrupt: ciphertext_crc32c, times: 1}\n"
        "- {method: '*/Encrypt', corrupt: verified_plaintext_crc32c, times: 1}\n"
        "- {method: '*/Encrypt', corrupt: name, times: 1}\n"
        "- {method: '*/Decrypt', corrupt: plaintext}\n"
        "- {method: '*/AccessSecretVersion', corrupt: payload.data, times: 1}\n"
        "- {method: '*/AccessSecretVersion', corrupt: payload.data_crc32c, times: 1}\n"
    )

    answers = [cloud.kms.encrypt(name=key, plaintext=b"text") for _ in range(3)]
    payloads = [cloud.secrets.access_secret_version(name=version).payload for _ in range(2)]

    assert answers[0].ciphertext_crc32c != whole.ciphertext_crc32c
    assert answers[1].verified_plaintext_crc32c
    assert answers[2].name == f"{whole.name}~"
    assert cloud.kms.decrypt(name=key, ciphertext=whole.ciphertext).plaintext == b"uext"
    assert payloads[0].data == b"qayload"
    assert (payloads[1].data, payloads[1].data_crc32c ^ 1) == (b"payload", payloads[0].data_crc32c)


@pytest.mark.parametrize("field", ["nothing", "payload.nothing", "nothing.data"])
def test_a_field_that_is_not_there_cannot_be_damaged_in_silence(cloud: Cloud, field: str) -> None:
    version = cloud.add(cloud.secret())
    cloud.faults_file.write_text(f"- {{method: '*', corrupt: {field}}}\n")

    with pytest.raises(exceptions.InvalidArgument, match="faults file corrupts"):
        cloud.secrets.access_secret_version(name=version)
