import json
from datetime import timedelta

import pytest

from convergence_orchestration.releases.evidence import Probes
from convergence_orchestration.releases.traffic.watching import Memory, memory_of
from convergence_orchestration_tests.releases.builders import NEW, NOON


def test_what_one_tick_leaves_the_next_one_finds() -> None:
    memory = Memory("2026-11-23T12:00:00+00:00", {NEW: Probes(2, 1, 0, 1, "timed out")})
    cursor = json.dumps({"staging": memory.to_json()})
    assert memory_of(cursor, "staging") == memory
    assert memory_of(cursor, "production") == Memory(tallies={})


@pytest.mark.parametrize(
    "cursor", [None, "", "nonsense", "[]", '{"staging": 3}', '{"staging": {"probes": 3}}']
)
def test_a_cursor_that_says_nothing_is_an_empty_memory(cursor: str | None) -> None:
    assert memory_of(cursor, "staging") in (Memory(), Memory(tallies={}))


def test_nobody_looks_before_the_time_that_an_idle_tick_names() -> None:
    memory = Memory(idle_until=(NOON + timedelta(seconds=15)).isoformat())
    assert memory.is_idle(NOON)
    assert not memory.is_idle(NOON + timedelta(seconds=15))
    assert not Memory().is_idle(NOON)
