import pytest

from convergence_orchestration.api.statuses import STATUS, documented
from convergence_orchestration.errors import ErrorCode


def test_every_code_has_a_status() -> None:
    assert STATUS.keys() == set(ErrorCode)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.UNAUTHORIZED, 401),
        (ErrorCode.FORBIDDEN, 403),
        (ErrorCode.TENANT_NOT_FOUND, 404),
        (ErrorCode.TENANT_EXISTS, 409),
        (ErrorCode.KEY_EXISTS, 409),
        (ErrorCode.RESERVED_TENANT_ID, 422),
        (ErrorCode.RATE_LIMITED, 429),
        (ErrorCode.DAGSTER_UNAVAILABLE, 503),
    ],
)
def test_codes_have_the_statuses_of_the_design(code: ErrorCode, status: int) -> None:
    assert STATUS[code] == status


def test_every_status_can_be_documented_with_its_codes() -> None:
    responses = documented(*ErrorCode)

    assert responses.keys() == {*STATUS.values()}
    assert "`tenant_exists`" in responses[409]["description"]
