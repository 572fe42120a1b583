from pathlib import Path

import pytest
import yaml

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.model import Metric, Severity
from convergence_orchestration.health.alerting.rules import (
    RULES_FILE,
    Comparison,
    RuleBook,
    parse_rules,
    rule_book,
)
from convergence_orchestration_tests.health.alerting.builders import rule

ROOT = Path(__file__).resolve().parents[3]
GOOD = {
    "name": "too_many",
    "metric": "failed_runs",
    "comparison": ">",
    "threshold": 10,
    "severity": "WARNING",
    "summary": "There are too many.",
    "done": "Nothing was done about it.",
}
REMINDERS = {"CRITICAL": 3600, "WARNING": 21600, "INFO": 86400}


def parsed(*rules: object, **top: object) -> RuleBook:
    return parse_rules(
        yaml.safe_dump({"reminder_seconds": REMINDERS, "rules": list(rules), **top}), "rules.yaml"
    )


def test_every_rule_has_a_page_that_says_what_it_means_what_was_done_and_what_to_do() -> None:
    for one in rule_book().rules:
        page = (ROOT / one.runbook).read_text(encoding="utf-8")
        assert page.startswith(f"# {one.name}\n")
        for heading in ("## What it means", "## What the system did", "## What to do"):
            assert heading in page, one.name


def test_every_metric_has_a_rule_and_every_page_too() -> None:
    rules = rule_book().rules
    assert {one.metric for one in rules} == set(Metric)
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {one.name for one in rules} | {"channels"}


def test_the_rules_of_the_guide_are_among_them() -> None:
    known = {
        one.name: (one.comparison, one.threshold, [str(window) for window in one.windows])
        for one in rule_book().rules
    }
    assert known["service_down"] == (">", 2, [])
    assert known["latency_high"] == (">", 500, ["5m"])
    assert known["error_rate_high"] == (">", 0.01, ["5m"])
    assert known["error_budget_burns_fast"] == (">", 14.4, ["1h", "5m"])
    assert known["error_budget_burns"] == (">", 6, ["6h", "30m"])
    assert known["error_budget_burns_slowly"] == (">", 1, ["3d", "6h"])
    assert {"kms_failing", "bigquery_quota"} <= known.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "latency"}, "rule too_many, field metric: input should be"),
        ({"colour": "red"}, "rule too_many, field colour: unexpected keyword argument"),
        ({"threshold": "many"}, "rule too_many, field threshold: input should be a valid number"),
        ({"comparison": "is"}, "rule too_many, field comparison:"),
        ({"severity": "LOUD"}, "rule too_many, field severity:"),
        ({"for": 0}, "rule too_many, field for: input should be greater than or equal to 1"),
        ({"name": "Too Many"}, "rule Too Many, field name:"),
        ({"probes": ["tls"]}, "rule too_many: leave `probes` out: failed_runs is of no probe"),
        ({"windows": ["5m"]}, "rule too_many: leave `windows` out: failed_runs is not measured over one"),
        ({"metric": "p95_ms"}, "rule too_many: name its windows: p95_ms is measured over one"),
        ({"metric": "p95_ms", "windows": ["2h"]}, "rule too_many, field windows.0:"),
        ({"metric": "probe_failures", "probes": ["ping"]}, "rule too_many, field probes.0:"),
        ({"minimum_requests": 5}, "rule too_many: leave `minimum_requests` out"),
    ],
)
def test_what_is_wrong_is_named_with_its_rule_and_field(change: dict[str, object], words: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parsed({**GOOD, **change})
    assert caught.value.code is ErrorCode.INVALID_SETTINGS
    assert f"Mend rules.yaml: {words}" in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "it is no YAML"),
        ("- 1", "the whole of it"),
        ("", "the whole of it"),
        ("{rules: [3], reminder_seconds: {INFO: 60, WARNING: 60, CRITICAL: 60}}", "rule number 1"),
        ("{rules: [], reminder_seconds: {INFO: 60}}", "when WARNING, CRITICAL alerts are told again"),
        ("{rules: [], reminder_seconds: {INFO: 1, WARNING: 60, CRITICAL: 60}}", "reminder_seconds.INFO"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(text: str, words: str) -> None:
    with pytest.raises(PermanentError, match=r"Mend rules\.yaml: ") as caught:
        parse_rules(text, "rules.yaml")
    assert words in caught.value.message


def test_a_name_is_given_once() -> None:
    with pytest.raises(PermanentError, match="give each rule its own name: too_many is there twice"):
        parsed(GOOD, GOOD)


def test_a_rule_left_out_of_one_field_takes_the_whole_file_with_it() -> None:
    text = RULES_FILE.read_text(encoding="utf-8").replace("metric: index_age_seconds", "metric: index_age")
    with pytest.raises(PermanentError, match="rule index_old, field metric"):
        parse_rules(text, "rules.yaml")


@pytest.mark.parametrize(
    ("comparison", "at", "beyond"),
    [(">", False, True), (">=", True, True), ("<", False, False), ("<=", True, False)],
)
def test_a_rule_fires_as_it_compares(comparison: str, at: bool, beyond: bool) -> None:  # noqa: FBT001 an example's values
    made = rule(comparison=Comparison(comparison))
    assert (made.breaches(10), made.breaches(11), made.breaches(9)) == (
        at,
        beyond,
        comparison.startswith("<"),
    )


def test_reminders_are_by_severity() -> None:
    assert rule_book().reminder_seconds[Severity.CRITICAL] == 3600
    assert rule_book().rule("service_down") is not None
    assert rule_book().rule("nothing") is None
