from typing import Any, ClassVar

import anyio
import pytest
from limits.storage import MemoryStorage

from convergence_orchestration.api.context import RequestContext
from convergence_orchestration.api.rate_limits import RateLimits, requests_allowed
from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.settings import load_settings
from convergence_orchestration.tenancy.model import PLAN_LIMITS, Plan


class SharedStorage(MemoryStorage):
    """What Redis is to the API: a storage by URL, which may fail."""

    STORAGE_SCHEME = ["shared-in-tests"]  # noqa: RUF012 the base class' own way
    fails: ClassVar[bool] = False

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if self.fails:
            raise ConnectionError("redis://user:s3cret@host is down")
        return super().acquire_entry(key, limit, expiry, amount)


def limits_of(**fields: Any) -> RateLimits:
    return RateLimits(load_settings(_env_file=None, **fields))


def charge(limits: RateLimits, tenant_id: str = "acmecorp") -> RequestContext:
    context = RequestContext("r")
    anyio.run(limits.charge_tenant, tenant_id, None, context)
    return context


def test_each_call_is_counted_and_told() -> None:
    limits = limits_of(tenant_requests_per_minute=3, tenant_requests_per_hour=100)

    told = [charge(limits).headers for _ in range(3)]

    assert [headers["RateLimit-Remaining"] for headers in told] == ["2", "1", "0"]
    assert told[0]["RateLimit-Limit"] == "3"
    assert 0 < int(told[0]["RateLimit-Reset"]) <= 60


def test_the_call_over_the_limit_is_refused_and_says_when_to_come_back() -> None:
    limits = limits_of(tenant_requests_per_minute=1)
    charge(limits)
    context = RequestContext("r")

    with pytest.raises(TransientError) as raised:
        anyio.run(limits.charge_tenant, "acmecorp", Plan.SCALE, context)

    assert raised.value.code is ErrorCode.RATE_LIMITED
    assert 0 < raised.value.retry_after <= 60
    assert raised.value.message == f"Try again in {raised.value.retry_after} s: 1 calls a minute are allowed."
    assert context.headers["RateLimit-Remaining"] == "0"


def test_the_hours_limit_counts_too_and_the_nearer_one_is_told() -> None:
    limits = limits_of(tenant_requests_per_minute=100, tenant_requests_per_hour=2)

    assert charge(limits).headers["RateLimit-Limit"] == "2"
    charge(limits)
    with pytest.raises(TransientError) as raised:
        charge(limits)

    assert raised.value.details == {"limit": 2, "window": "hour"}
    assert raised.value.retry_after > 60


def test_tenants_are_counted_apart_and_apart_from_administrators() -> None:
    limits = limits_of(tenant_requests_per_minute=1, tenant_creations_per_minute=1)
    charge(limits, "acmecorp")

    charge(limits, "globex")
    anyio.run(limits.charge_tenant_creation, "acmecorp", RequestContext("r"))

    with pytest.raises(TransientError):
        charge(limits, "acmecorp")


def test_a_shared_storage_is_counted_in_and_this_process_counts_for_itself_while_it_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = limits_of(tenant_requests_per_minute=2, rate_limit_storage_url="shared-in-tests://host")
    assert charge(limits).headers["RateLimit-Remaining"] == "1"

    monkeypatch.setattr(SharedStorage, "fails", True)

    assert charge(limits).headers["RateLimit-Remaining"] == "1"
    assert charge(limits).headers["RateLimit-Remaining"] == "0"
    with pytest.raises(TransientError):
        charge(limits)
    assert "s3cret" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "url", ["nonsense://host", "redis://user:s3cret@host:port", "async+memory://", "memcached://"]
)
def test_a_storage_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    with pytest.raises(PermanentError) as raised:
        limits_of(rate_limit_storage_url=url)

    assert raised.value.code is ErrorCode.INVALID_SETTINGS
    assert raised.value.message.startswith("RATE_LIMIT_STORAGE_URL is wrong")
    assert "s3cret" not in raised.value.message


@pytest.mark.parametrize("plan", Plan)
def test_a_plan_allows_its_own_number_of_requests_and_the_settings_cap_it(plan: Plan) -> None:
    limits = PLAN_LIMITS[plan]

    generous = load_settings(_env_file=None, tenant_requests_per_minute=10**6, tenant_requests_per_hour=10**6)
    strict = load_settings(_env_file=None, tenant_requests_per_minute=2, tenant_requests_per_hour=3)

    assert requests_allowed(plan, generous) == (limits.requests_per_minute, limits.requests_per_hour)
    assert requests_allowed(plan, strict) == (2, 3)
