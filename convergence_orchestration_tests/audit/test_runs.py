import pytest

from convergence_orchestration.audit.model import Actor, ActorKind, Outcome, Target
from convergence_orchestration.audit.runs import actor_of, entry_of
from convergence_orchestration.errors import ErrorCode

KEY_ID = "key_" + "a1" * 10
A_KEY = "cvg_dev_" + "x" * 49


@pytest.mark.parametrize(
    ("tags", "actor"),
    [
        ({}, Actor(ActorKind.OPERATOR, "dagster-ui")),
        ({"convergence/actor": ""}, Actor(ActorKind.OPERATOR, "dagster-ui")),
        ({"convergence/actor": "alice"}, Actor(ActorKind.OPERATOR, "alice")),
        ({"dagster/schedule_name": "hourly"}, Actor(ActorKind.SYSTEM, "hourly")),
        ({"dagster/sensor_name": "watch", "convergence/actor": "alice"}, Actor(ActorKind.SYSTEM, "watch")),
    ],
)
def test_a_run_is_started_by_a_person_a_schedule_or_a_sensor(tags: dict[str, str], actor: Actor) -> None:
    assert actor_of(tags) == actor


def test_a_run_tells_its_tenant_its_key_and_the_request_behind_it() -> None:
    tags = {"convergence/tenant_id": "acme", "convergence/request_id": "abc"}
    config = {
        "ops": {"issue_key": {"config": {"tenant_id": "globex", "key_id": KEY_ID, "description": A_KEY}}}
    }

    entry = entry_of("run-1", "issue_tenant_key", tags, config, Outcome.FAILED, ErrorCode.KEY_EXISTS)

    assert (entry.action, entry.target, entry.tenant_id) == (
        "run.issue_tenant_key",
        Target("key", KEY_ID),
        "acme",
    )
    assert (entry.request_id, entry.run_id, entry.error_code) == ("abc", "run-1", ErrorCode.KEY_EXISTS)
    assert A_KEY not in repr(entry)


@pytest.mark.parametrize(
    ("tags", "tenant_id"),
    [({}, "globex"), ({"dagster/partition": "initech"}, "initech"), ({"convergence/tenant_id": A_KEY}, None)],
)
def test_the_tenant_is_that_of_a_tag_or_of_the_form(tags: dict[str, str], tenant_id: str | None) -> None:
    config = {"ops": {"onboard": {"config": {"tenant_id": "globex"}}}}
    assert entry_of("r", "onboard_tenant", tags, config, Outcome.ATTEMPTED).tenant_id == tenant_id


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {},
        {"ops": None},
        {"ops": {"a": None}},
        {"ops": {"a": {"config": []}}},
        {"ops": {"revoke_key": {"config": {"key": A_KEY, "tenant_id": 7}}}},
    ],
)
def test_a_config_that_is_wrong_or_holds_a_key_shows_nothing_of_itself(config: object) -> None:
    entry = entry_of("r", "revoke_tenant_key", {}, config, Outcome.ATTEMPTED)
    assert (entry.target, entry.tenant_id) == (Target("job", "revoke_tenant_key"), None)


def test_materialized_assets_have_a_name_of_their_own() -> None:
    assert entry_of("r", "__ASSET_JOB", {}, {}, Outcome.ATTEMPTED).action == "run.assets"
