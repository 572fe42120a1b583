import pytest
import yaml
from pydantic import ValidationError

from convergence_orchestration.releases.policy import RolloutPolicy
from convergence_orchestration.releases.rollout_section import RolloutSection
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Environment


def test_an_empty_section_is_the_policy_of_the_guide() -> None:
    assert RolloutSection().policy() == RolloutPolicy()


def test_production_bakes_ten_minutes_a_stage_unless_a_setting_says_else() -> None:
    section = specification_of(Environment.PRODUCTION).rollout
    assert section.policy().bake.total_seconds() == 600
    assert section.policy(5).bake.total_seconds() == 5


def test_a_section_from_yaml_has_freezes_with_time_zones() -> None:
    text = "freezes: [{start: 2026-12-24T00:00:00Z, end: 2026-12-27T00:00:00Z, reason: holidays}]"
    (freeze,) = RolloutSection.model_validate(yaml.safe_load(text)).policy().freezes
    assert (freeze.start.day, freeze.end.day, freeze.reason) == (24, 27, "holidays")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"stages": []}, "Set the rollout's stages to at least one percentage"),
        ({"stages": [50, 10, 100]}, "percentages that rise"),
        ({"stages": [10, 110]}, "percentages from 1 to 100"),
        ({"bake_seconds": 0}, "Set the rollout's bake to more than 0 seconds"),
        ({"targets": {"error_percent": 0}}, "error_percent"),
        ({"judge": {"alpha": 0.5}}, "alpha"),
        ({"bakeseconds": 5}, "Extra inputs are not permitted"),
    ],
)
def test_a_section_that_is_no_policy_is_refused(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RolloutSection.model_validate(section)
