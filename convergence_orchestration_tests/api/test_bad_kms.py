"""A Cloud KMS that is slow, down, answers for another key or damages what it answers: while a key is issued, handed over
again, and rotated. Each time there is a defined answer without a key in it, nothing is half done, and the same
Idempotency-Key finishes once KMS is well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import httpx
import pytest

from convergence_orchestration.api.statuses import STATUS
from convergence_orchestration.errors import ErrorCode
from convergence_orchestration.keys.states import KeyState
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration_tests.api.dagster_standin import DagsterStandIn
from convergence_orchestration_tests.api.platform import (
    Api,
    ControlPlane,
    assert_is_error,
    patiently,
    served,
)
from convergence_orchestration_tests.emulators import Emulator
from convergence_orchestration_tests.gcp.faults import faults

type Bad = tuple[Mapping[str, object], ErrorCode]

SEALING: list[Bad] = [
    ({"method": "*/Encrypt", "delay_seconds": 2}, ErrorCode.DEADLINE_EXCEEDED),
    ({"method": "*/Encrypt", "code": "UNAVAILABLE"}, ErrorCode.UNAVAILABLE),
    ({"method": "*/Encrypt", "corrupt": "name"}, ErrorCode.DATA_CORRUPTED),
    ({"method": "*/Encrypt", "corrupt": "ciphertext"}, ErrorCode.DATA_CORRUPTED),
]
OPENING: list[Bad] = [
    ({"method": "*/Decrypt", "delay_seconds": 2}, ErrorCode.DEADLINE_EXCEEDED),
    ({"method": "*/Decrypt", "code": "UNAVAILABLE"}, ErrorCode.UNAVAILABLE),
    ({"method": "*/Decrypt", "corrupt": "plaintext"}, ErrorCode.DATA_CORRUPTED),
]


@pytest.fixture(scope="module")
def hasty_plane(control_plane: ControlPlane) -> ControlPlane:
    """The same project, where a call of KMS is given up after 1.2 s."""
    settings = control_plane.settings.model_copy(update={"kms_deadline_seconds": 1.2})
    return replace(control_plane, settings=settings)


@pytest.fixture(scope="module")
def hasty_api(hasty_plane: ControlPlane, shared_dagster: DagsterStandIn) -> Iterator[Api]:
    with served(patiently(hasty_plane.settings), shared_dagster) as api:
        api.wait_until_keys_are_known()
        yield api


@pytest.fixture
def hasty(hasty_api: Api, hasty_plane: ControlPlane, dagster: DagsterStandIn) -> Api:
    """An API and runs that wait for KMS no longer than that."""
    dagster.work.update(hasty_plane.jobs())
    return hasty_api


def states(plane: ControlPlane, api: Api, tenant_id: str) -> dict[str, KeyState]:
    known = plane.stores.ledger.known(TenantId(tenant_id))
    return {key_id: record.state(api.clock()) for key_id, record in known.items()}


def assert_is_bad(answer: httpx.Response, code: ErrorCode) -> None:
    assert_is_error(answer, STATUS[code], code)
    assert answer.status_code in {502, 503, 504}
    assert int(answer.headers["Retry-After"]) >= 1
    assert "cvg_" not in answer.text


def test_a_key_is_issued_and_handed_over_again_once_kms_is_well_and_is_one_key(
    hasty: Api, hasty_plane: ControlPlane, local_gcp: Emulator
) -> None:
    tenant_id = hasty_plane.tenant()

    def ask() -> httpx.Response:
        return hasty.admin("POST", "/api-keys", {"tenant_id": tenant_id}, **{"Idempotency-Key": tenant_id})

    for fault, code in SEALING:
        with faults(local_gcp, fault):
            assert_is_bad(ask(), code)
    assert states(hasty_plane, hasty, tenant_id) == {}
    for fault, code in OPENING:
        with faults(local_gcp, fault):
            assert_is_bad(ask(), code)
    issued = ask()
    assert issued.status_code == 200, issued.text
    for fault, code in OPENING[::2]:
        with faults(local_gcp, fault):
            assert_is_bad(ask(), code)
    again = ask()

    assert again.json() == issued.json() | {"run_id": None, "run_url": None}
    assert states(hasty_plane, hasty, tenant_id) == {issued.json()["key_id"]: KeyState.ACTIVE}
    assert hasty.me(issued.json()["api_key"]).status_code == 200


def test_a_key_is_rotated_once_kms_is_well_and_until_then_the_old_one_is_as_it_was(
    hasty: Api, hasty_plane: ControlPlane, local_gcp: Emulator
) -> None:
    tenant_id = hasty_plane.tenant()
    old = hasty.known_key(tenant_id)

    def ask() -> httpx.Response:
        path = f"/api-keys/{old['key_id']}/rotate"
        return hasty.admin("POST", path, {"grace_seconds": 600}, **{"Idempotency-Key": tenant_id})

    for fault, code in SEALING:
        with faults(local_gcp, fault):
            assert_is_bad(ask(), code)
    assert states(hasty_plane, hasty, tenant_id) == {old["key_id"]: KeyState.ACTIVE}
    for fault, code in OPENING:
        with faults(local_gcp, fault):
            assert_is_bad(ask(), code)
    rotated = ask()

    assert rotated.status_code == 200, rotated.text
    new = rotated.json()
    both = {old["key_id"]: KeyState.ROTATING, new["key_id"]: KeyState.ACTIVE}
    assert states(hasty_plane, hasty, tenant_id) == both
    assert [hasty.me(key["api_key"]).status_code for key in (old, new)] == [200, 200]
