from datetime import UTC, datetime
from pathlib import Path

import pytest

from convergence_orchestration.health.model import Window
from convergence_orchestration_tests.health.front_door_log import (
    SpreadLoad,
    exact,
    logged,
    measured_door,
    wait_until_complete,
)


def test_reported_levels_agree_with_the_front_doors_raw_log_within_two_percent(tmp_path: Path) -> None:
    with measured_door(tmp_path) as (door, reader):
        load = SpreadLoad(door, seconds=5)
        load.run()
        levels = reader.read(Window.FIVE_MINUTES, wait_until_complete(reader, datetime.now(UTC)))
        requests = logged(tmp_path, levels[0].start, levels[0].end)

    assert len(requests) == load.asked
    assert [one.revision for one in levels] == [None, "api-1", "api-2"]
    for one in levels:
        judge = exact([each for each in requests if one.revision in {None, each.revision}])
        assert one.requests == judge.requests
        assert one.error_rate == pytest.approx(judge.error_rate)
        assert one.p95_ms == pytest.approx(judge.p95_ms, rel=0.02)
