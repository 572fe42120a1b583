"""The examples of docs/extending.md do what the page says of them."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from convergence_orchestration.health.alerting.rules import RULES_FILE, parse_rules
from convergence_orchestration.health.model import ProbeName, ProbeStatus
from convergence_orchestration.health.probes.looking import Look, Subject, look_at_all
from convergence_orchestration.releases.actions import Hold, RollBack, ShiftTraffic
from convergence_orchestration.releases.case import Case
from convergence_orchestration.releases.evidence import Evidence
from convergence_orchestration.releases.history import fold
from convergence_orchestration.releases.rollout import RULES
from convergence_orchestration.releases.rollout_section import RolloutSection
from convergence_orchestration.releases.rules import standstill
from convergence_orchestration.tenancy.model import PlanLimits
from convergence_orchestration.warehouse.catalogue import FILES, load_tables
from convergence_orchestration.warehouse.versions import check_versions, read_record, with_versions
from convergence_orchestration_tests.docs.pages import ROOT, read
from convergence_orchestration_tests.releases.builders import NEW, World, measured, world

BLOCKS = {block.mark: block.text for block in read(ROOT / "docs/extending.md").blocks}
SATURDAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


def defined(mark: str) -> dict[str, Any]:
    """What the page's Python defines."""
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[mark], f"docs/extending.md, {mark}", "exec"), names)  # noqa: S102 our own page
    return names


def test_the_table_is_a_table_once_its_version_is_recorded(tmp_path: Path) -> None:
    shutil.copytree(FILES / "tenant", tmp_path / "tenant")
    (tmp_path / "tenant" / "exports.yaml").write_text(BLOCKS["tested: table"], encoding="utf-8")

    tables = load_tables(tmp_path / "tenant")
    recorded = with_versions(tables, read_record()["tenant"])

    assert [column.name for table in tables if table.name == "exports" for column in table.columns] == [
        "export_id",
        "exported_at",
        "row_count",
    ]
    check_versions(tables, recorded)


def test_the_plan_s_limits_are_limits() -> None:
    limits = eval(BLOCKS["tested: plan"], {"PlanLimits": PlanLimits})  # noqa: S307 our own page

    assert isinstance(limits, PlanLimits)


def test_the_rule_holds_promotions_at_weekends_and_lets_rollbacks_go() -> None:
    rule = defined("tested: rule")["nothing_is_promoted_at_weekends"]
    rules = list(RULES)
    rules.insert(rules.index(standstill.promotions_are_frozen), rule)

    def decided(there: World) -> Any:
        history = fold(there.events)
        assert history.rollout is not None
        evidence = Evidence(tuple(there.known.values()))
        case = Case(there.service, evidence, history, history.rollout, there.policy, there.now)
        return next(action for one in rules if (action := one(case)) is not None)

    on_monday, at_the_weekend = world(), world()
    at_the_weekend.now = SATURDAY
    held = decided(at_the_weekend)
    assert isinstance(decided(on_monday), ShiftTraffic)
    assert isinstance(held, Hold)
    assert held.until == SATURDAY + timedelta(days=2)
    assert isinstance(decided(bad_on_saturday()), RollBack)


def bad_on_saturday() -> World:
    there = world()
    there.now = SATURDAY
    there.to_stage(10)
    there.measure(NEW, measured(SATURDAY, 60, requests=100, errors=50))
    return there


def test_the_rollout_is_a_policy() -> None:
    policy = RolloutSection.model_validate(yaml.safe_load(BLOCKS["tested: rollout"])).policy()

    assert policy.stages == (5, 25, 100)
    assert policy.freezes[0].reason == "holidays"


def test_the_probe_finds_a_disk_with_room_and_one_without(tmp_path: Path) -> None:
    disk_space = defined("tested: probe")["disk_space"]
    subject = (Subject(ProbeName.RUN_QUEUE, "disk", "development"),)

    found = look_at_all(
        [Look(subject, lambda: disk_space(tmp_path, 0.0)), Look(subject, lambda: disk_space(tmp_path, 1.1))],
        lambda: SATURDAY,
    )

    assert [result.status for result in found] == [ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY]


def test_the_alert_is_a_rule() -> None:
    book = RULES_FILE.read_text(encoding="utf-8")

    rules = parse_rules(
        f"{book}\n" + "".join(f"  {line}\n" for line in BLOCKS["tested: alert"].splitlines()), "rules"
    )

    assert rules.rules[-1].name == "disk_full"
