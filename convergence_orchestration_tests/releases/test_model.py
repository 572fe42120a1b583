from dataclasses import replace
from datetime import UTC, datetime

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.model import (
    Condition,
    Percent,
    Revision,
    RevisionName,
    ServiceState,
    TrafficTarget,
    parse_percent,
    parse_release_id,
    parse_revision_name,
    shares_of,
)

NEW, OLD = RevisionName("api-00002-new"), RevisionName("api-00001-old")
MADE = datetime(2026, 11, 23, tzinfo=UTC)
SPLIT = (
    TrafficTarget(NEW, Percent(10)),
    TrafficTarget(OLD, Percent(90)),
    TrafficTarget(NEW, tag="candidate"),
)
SERVICE = ServiceState(
    name="api",
    generation=4,
    observed_generation=4,
    reconciling=False,
    condition=Condition.SUCCEEDED,
    asked=SPLIT,
    serving=SPLIT,
    revisions=(
        Revision(NEW, Condition.SUCCEEDED, MADE),
        Revision(OLD, Condition.FAILED, MADE, "out of memory"),
    ),
)


def test_a_revision_is_named_after_its_service() -> None:
    assert parse_revision_name("api-00001-old", "api") == OLD


@pytest.mark.parametrize(
    "value", ["", "api", "api-", "web-00001-abc", "api-UPPER", "api-" + "a" * 63, "api-1\n"]
)
def test_any_other_name_is_no_revision_of_the_service(value: str) -> None:
    with pytest.raises(PermanentError, match="api-00001-abc") as raised:
        parse_revision_name(value, "api")
    assert raised.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_release_is_named_by_a_version() -> None:
    assert parse_release_id("v1.0.0") == "v1.0.0"


@pytest.mark.parametrize("value", ["", "-v1", "v 1", "v1/2", "v" * 101])
def test_any_other_text_is_no_release_id(value: str) -> None:
    with pytest.raises(PermanentError, match=r"v1\.0\.0"):
        parse_release_id(value)


@pytest.mark.parametrize("value", [0, 1, 100])
def test_a_percentage_is_from_0_to_100(value: int) -> None:
    assert parse_percent(value) == value


@pytest.mark.parametrize("value", [-1, 101])
def test_any_other_number_is_no_percentage(value: int) -> None:
    with pytest.raises(PermanentError, match="from 0 to 100"):
        parse_percent(value)


def test_lines_for_one_revision_are_added_up_and_tags_have_no_share() -> None:
    lines = (
        TrafficTarget(NEW, Percent(10)),
        TrafficTarget(NEW, Percent(5), "blue"),
        TrafficTarget(OLD, tag="old"),
    )
    assert shares_of(lines) == {NEW: 15}


def test_a_service_serves_a_split_once_it_is_settled() -> None:
    assert SERVICE.serves({NEW: Percent(10), OLD: Percent(90)})


@pytest.mark.parametrize(
    "service",
    [
        replace(SERVICE, observed_generation=3),
        replace(SERVICE, reconciling=True),
        replace(SERVICE, condition=Condition.FAILED),
        replace(SERVICE, serving=(TrafficTarget(OLD, Percent(100)),)),
        replace(SERVICE, asked=(TrafficTarget(OLD, Percent(100)),)),
    ],
)
def test_a_split_that_is_not_verified_is_not_served(service: ServiceState) -> None:
    assert not service.serves({NEW: Percent(10), OLD: Percent(90)})


def test_a_revision_is_ready_by_its_own_condition() -> None:
    assert SERVICE.is_ready(NEW)
    assert not SERVICE.is_ready(OLD)
    assert not SERVICE.is_ready(RevisionName("api-00009-gone"))
    assert not SERVICE.is_ready(None)
