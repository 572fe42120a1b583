"""A hundred who ask at once for a key of one tenant, against the real API, Dagster and its workers."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from convergence_orchestration_tests.e2e.platform import Platform
from convergence_orchestration_tests.local_platform.builders import wait_until

AT_ONCE = 100


def test_a_hundred_at_once_get_exactly_one_key(platform: Platform) -> None:
    wanted = {"tenant_id": "acmecorp"}
    assert platform.admin("POST", "/tenants", wanted, Prefer="wait=120").status_code == 200
    assert platform.admin_key, "read once, before the threads"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(
            pool.map(lambda _: platform.admin("POST", "/api-keys", wanted, Prefer="wait=120"), range(AT_ONCE))
        )

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(409)) == (1, AT_ONCE - 1), sorted(set(statuses))
    (issued,) = (answer.json() for answer in answers if answer.status_code == 200)
    (listed,) = platform.admin("GET", "/api-keys?tenant_id=acmecorp").json()["keys"]
    assert (listed["key_id"], listed["state"]) == (issued["key_id"], "ACTIVE")
    wait_until(
        lambda: _are_known(platform, issued)
    )  # a hundred calls start further instances, which follow the ledger

    rotated = platform.admin(
        "POST", f"/api-keys/{issued['key_id']}/rotate", {"grace_seconds": 3600}, Prefer="wait=120"
    ).json()
    wait_until(lambda: _are_known(platform, issued, rotated))


def _are_known(platform: Platform, *keys: Mapping[str, str]) -> bool:
    return all(platform.me(key["api_key"]).status_code == HTTPStatus.OK for key in keys)
