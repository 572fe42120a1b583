import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.sql import select_all, select_count


def test_a_tables_name_is_put_between_backticks() -> None:
    assert select_count("acme-dev", "tenants", "alerts").strip() == (
        "SELECT COUNT(*) AS row_count FROM `acme-dev.tenants.alerts`"
    )
    assert select_all("acme-dev", "tenants", "alerts").strip() == "SELECT * FROM `acme-dev.tenants.alerts`"


@pytest.mark.parametrize("name", ["", "a`; DROP TABLE b", "a b", "a.b", "tenants\n", "x" * 1025])
def test_what_is_not_a_name_never_gets_into_a_statement(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        select_count("acme-dev", "tenants", name)

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
