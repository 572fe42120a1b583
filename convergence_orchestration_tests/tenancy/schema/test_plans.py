import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.schema import shown
from convergence_orchestration.tenancy.schema.plans import TenantPlan, in_turn, plans_for
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.fleet import DatasetDrift, FleetDrift, TableDrift
from convergence_orchestration.warehouse.migration import Change, ChangeKind, Refusal, TablePlan
from convergence_orchestration.warehouse.model import SchemaDifference

COST, *_ = tenant_tables()
MISSING = TableDrift(COST, None, (SchemaDifference("cost_billing", "(table)", "a table", "-"),))
ALL = [TenantId(name) for name in ("acme", "globex", "hooli", "initech")]


def planned(tenant_id: str, *, needed: bool = True) -> TenantPlan:
    table = (
        TablePlan(COST, (Change(ChangeKind.CREATE_TABLE, COST.columns),))
        if needed
        else TablePlan(COST, refusals=(Refusal("note", "Declare it again."),))
    )
    return TenantPlan(TenantId(tenant_id), f"tenant_{tenant_id}", (table,))


def order(canary: str | None, *plans: TenantPlan) -> list[str]:
    return [each.tenant_id for each in in_turn(plans, TenantId(canary) if canary else None, ALL)]


def test_the_first_by_id_that_needs_it_is_the_canary_unless_one_is_named() -> None:
    plans = (planned("initech"), planned("globex"), planned("acme", needed=False))

    assert order(None, *plans) == ["globex", "initech"]
    assert order("initech", *plans) == ["initech", "globex"]


def test_a_canary_that_needs_nothing_any_more_stops_nobody() -> None:
    assert order("hooli", planned("initech"), planned("globex")) == ["globex", "initech"]


@pytest.mark.parametrize(("canary", "says"), [("umbrella", "among the chosen"), ("acme", "is refused")])
def test_a_canary_that_would_show_nothing_is_refused(canary: str, says: str) -> None:
    with pytest.raises(PermanentError, match=says) as caught:
        order(canary, planned("acme", needed=False), planned("globex"))

    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


def test_every_tenant_that_differs_gets_a_plan_that_can_be_shown() -> None:
    drift = FleetDrift((DatasetDrift("tenant_acme", (MISSING,)),), 2, 9, 90, 0)

    plans = plans_for(drift)

    assert plans == [planned("acme")]
    assert list(shown.difference_rows(drift)) == [("acme", "cost_billing", "(table)", "a table", "-")]
    assert list(shown.statement_rows("p", plans)) == [
        (
            "acme",
            "cost_billing",
            str(COST.version),
            f"tables.insert p.tenant_acme.cost_billing as version {COST.version} declares it",
        )
    ]
    assert list(shown.refusal_rows([planned("acme", needed=False)])) == [
        ("acme", "cost_billing", "note", "Declare it again.")
    ]


def test_only_the_first_rows_are_shown() -> None:
    drift = FleetDrift(tuple(DatasetDrift(f"tenant_t{n}", (MISSING,)) for n in range(1000)), 1000, 0, 0, 0)

    assert len(shown.first(shown.difference_rows(drift))) == shown.MOST_ROWS
