"""From requests that the local cloud's Monitoring has counted to levels of service."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import pytest
import yaml

from convergence_orchestration.gcp.clients import monitoring_client
from convergence_orchestration.gcp.monitoring import Monitoring
from convergence_orchestration.health.levels import pictures
from convergence_orchestration.health.levels.reading import LevelsReader, OverTime
from convergence_orchestration.health.levels.report import markdown, probed_share, report_on
from convergence_orchestration.health.model import Objectives, ProbeName, ProbeStatus, Window
from convergence_orchestration.local_gcp.server import serving
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.health.builders import count_requests, result
from convergence_orchestration_tests.local_gcp.clouds import SettableClock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEP = timedelta(seconds=1)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[LevelsReader]:
    with serving(tmp_path, clock=SettableClock(NOON)) as ports:
        settings = load_settings(_env_file=None, monitoring_emulator_host=f"127.0.0.1:{ports.grpc}")
        monitoring = Monitoring(monitoring_client(settings), "platform", total_seconds=1.0)
        yield LevelsReader(monitoring, "staging", "api", STEP)
        monitoring.close()


def add(directory: Path, answers: list[tuple[float, float, int]], revision: str = "api-1") -> None:
    count_requests(directory, answers, NOON, revision)


def test_levels_agree_with_the_requests_themselves_within_two_percent(
    reader: LevelsReader, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311 a made-up load
    slow = [min(5000.0, chance.lognormvariate(3.5, 1.0)) for _ in range(4000)]
    answers = [
        (chance.uniform(1, 299), taken, 503 if number % 80 == 0 else 200) for number, taken in enumerate(slow)
    ]
    add(tmp_path, answers[:3000], "api-1")
    add(tmp_path, answers[3000:], "api-2")

    whole, first, second = reader.read(Window.FIVE_MINUTES, NOON)

    exact = quantiles(slow, n=100)
    assert (whole.requests, first.requests, second.requests) == (4000, 3000, 1000)
    assert whole.errors == 50
    assert whole.error_rate == 50 / 4000
    assert whole.p95_ms == pytest.approx(exact[94], rel=0.02)
    assert whole.p99_ms == pytest.approx(exact[98], rel=0.02)
    assert second.p95_ms == pytest.approx(quantiles(slow[3000:], n=100)[94], rel=0.02)


@pytest.mark.parametrize("window", list(Window))
def test_every_window_has_what_ended_in_it_and_no_more(
    reader: LevelsReader, tmp_path: Path, window: Window
) -> None:
    length = window.length.total_seconds()
    inside = [(30.0, 20.0, 200), (length / 2, 20.0, 200)]
    add(tmp_path, [*inside, (length + 61, 20.0, 500)])

    whole = reader.read(window, NOON)[0]

    assert (whole.requests, whole.errors) == (2, 0)
    assert (whole.start, whole.end) == (NOON - window.length, NOON)


def test_meters_that_are_late_are_read_only_as_far_as_they_are_complete(reader: LevelsReader) -> None:
    late = LevelsReader(reader.monitoring, "staging", "api", timedelta(seconds=60), timedelta(seconds=120))
    now = NOON + timedelta(seconds=42)
    assert late.end_of(Window.FIVE_MINUTES, now) == NOON - timedelta(minutes=2)
    assert reader.end_of(Window.FIVE_MINUTES, now) == NOON + timedelta(seconds=40)
    assert reader.end_of(Window.HOUR, now) == NOON


def test_what_cannot_be_read_is_unknown_and_says_why(reader: LevelsReader, tmp_path: Path) -> None:
    add(tmp_path, [(30.0, 20.0, 200)])
    faults = [{"method": "*/ListTimeSeries", "code": "PERMISSION_DENIED"}]
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump(faults))

    (only,) = reader.read(Window.HOUR, NOON)

    assert (only.requests, only.availability, only.p95_ms) == (None, None, None)
    assert "roles/monitoring.viewer" in only.why_unknown


def test_a_day_is_reported_on_one_page_with_its_picture(reader: LevelsReader, tmp_path: Path) -> None:
    add(tmp_path, [(ago, 20.0, 500 if ago == 600 else 200) for ago in range(60, 36_000, 60)])
    alive, dead = ProbeStatus.HEALTHY, ProbeStatus.UNKNOWN
    checks = [result(alive), result(alive), result(dead), result(dead, revision="api-1")]

    report = report_on(reader, date(2026, 11, 23), NOON, checks)
    page = markdown(report, reader, "data:image/png;base64,AAAA")

    assert report.is_measured
    assert report.over_time is not None
    assert sum(one.requests for one in report.over_time.counts.values()) == 599
    assert "# api (staging), 2026-11-23" in page
    assert "Found alive by the probes: 66.667%" in page
    assert "missed: availability, errors" in page
    assert "| all | 30d | 599 |" in page
    assert page.endswith("(data:image/png;base64,AAAA)")
    drawn = pictures.day(report.over_time, Objectives())
    assert drawn is not None
    assert drawn.startswith(b"\x89PNG")


def test_a_day_of_which_nothing_is_known_is_not_called_good(reader: LevelsReader, tmp_path: Path) -> None:
    report = report_on(reader, date(2026, 11, 22), NOON, [])
    assert not report.is_measured
    assert "unknown" in markdown(report, reader, None)
    assert {one.end for one in report.levels} == {datetime(2026, 11, 23, tzinfo=UTC)}
    faults = [{"method": "*/ListTimeSeries", "code": "PERMISSION_DENIED"}]
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump(faults))
    assert report_on(reader, date(2026, 11, 22), NOON, []).over_time is None


def test_a_day_without_a_request_has_no_picture() -> None:
    assert pictures.day(OverTime(timedelta(minutes=15), {}, {}, {}), Objectives()) is None


def test_only_the_services_own_address_counts_as_probed() -> None:
    assert probed_share([]) is None
    assert probed_share([result(revision="api-1"), result(probe=ProbeName.TLS)]) is None
