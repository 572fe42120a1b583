from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from convergence_orchestration.releases.model import EventKind, Percent, ReleaseEvent, Verdict
from convergence_orchestration.releases.report.page import html, markdown
from convergence_orchestration.releases.report.pictures import timeline
from convergence_orchestration.releases.report.story import Measurements, Story, span_of, state_of, story_of
from convergence_orchestration.releases.report.writing import Report, step_for, write
from convergence_orchestration_tests.releases.builders import NEW, NOON, OLD, V1, V2, measured

_FIRST = ReleaseEvent(
    "e0", V2, "staging", "api", EventKind.STARTED, NOON, actor="ana", reason="<b>new | prices</b>"
)


def _event(seconds: float, kind: EventKind, percent: int | None = None, **fields: object) -> ReleaseEvent:
    known: dict[str, object] = {
        "event_id": f"e{seconds}",
        "recorded_at": NOON + timedelta(seconds=seconds),
        "kind": kind,
        "revision": NEW,
        "stable_revision": OLD,
        "traffic_percent": None if percent is None else Percent(percent),
        "actor": "rollout",
        "reason": "because",
        **fields,
    }
    return replace(_FIRST, **known)  # type: ignore[arg-type]


_BAD = [
    _FIRST,
    _event(10, EventKind.HANDED_OVER, 0, image="repo@sha256:1"),
    _event(20, EventKind.TRAFFIC_ASKED, 10),
    _event(21, EventKind.STAGE_VERIFIED, 10),
    _event(30, EventKind.ROLLED_BACK, 0, verdict=Verdict.UNHEALTHY, reason="4 of 20 answers were errors"),
    _event(31, EventKind.STOPPED),
]
_MEASURED: Measurements = {
    NEW: (measured(NOON + timedelta(seconds=20), 10, 20, errors=4, slow=3),),
    OLD: (measured(NOON + timedelta(seconds=20), 10, 180), measured(NOON + timedelta(seconds=30), 10, 200)),
}


def _story(events: list[ReleaseEvent], found: Measurements | None) -> Story:
    story = story_of(events, V2, found)
    assert story is not None
    return story


def test_a_story_says_who_had_which_traffic_and_how_many_were_harmed() -> None:
    story = _story(_BAD, _MEASURED)

    assert [dict(move.shares) for move in story.moves] == [{NEW: 10, OLD: 90}, {OLD: 100}]
    assert story.harm.total == 4
    assert [(one.revision, one.requests, one.errors) for one in story.figures] == [
        (NEW, 20, 4),
        (OLD, 380, 0),
    ]
    assert (story.revision, story.stable, story.image) == (NEW, OLD, "repo@sha256:1")
    assert story.ended_at == NOON + timedelta(seconds=31)


def test_meters_that_could_not_be_read_harm_an_unknown_number() -> None:
    assert "unknown: the meters could not be read" in markdown(_story(_BAD, None))


def test_a_release_that_is_not_known_has_no_story() -> None:
    assert story_of(_BAD, V1, None) is None


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (_BAD[:1], "being deployed"),
        (_BAD[:2], "handed over to the rollout"),
        (_BAD[:3], "on its way to 10 %"),
        (_BAD[:4], "bakes at 10 %"),
        (_BAD[:5], "being rolled back"),
        (_BAD, "stopped: it did not become the stable revision"),
        ([*_BAD[:4], _event(25, EventKind.PAUSED)], "paused: it waits for a person"),
        ([*_BAD[:4], _event(25, EventKind.PAUSED), _event(26, EventKind.RESUMED)], "under way"),
        ([*_BAD[:4], _event(25, EventKind.FINISHED)], "finished: it is the stable revision"),
    ],
)
def test_a_state_follows_from_the_last_event_that_tells(events: list[ReleaseEvent], state: str) -> None:
    assert state_of(events) == state


def test_the_picture_spans_the_traffic_and_a_little_more() -> None:
    now = NOON + timedelta(hours=1)
    assert span_of(_BAD[:2], V2, now) is None
    assert span_of(_BAD, V2, now) == (NOON + timedelta(seconds=10), NOON + timedelta(seconds=41))
    assert span_of(_BAD[:4], V2, NOON + timedelta(seconds=25)) == (
        NOON + timedelta(seconds=10),
        NOON + timedelta(seconds=25),
    )


def test_a_page_has_everything_and_escapes_what_people_wrote() -> None:
    story = _story(_BAD, _MEASURED)
    picture = timeline(story)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")

    page, text = html(story, picture), markdown(story, picture)

    assert "&lt;b&gt;new | prices&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "\\<b\\>new \\| prices" in text
    for told in ("data:image/png;base64,", "4 of 20 answers were errors", "UNHEALTHY", "20.00"):
        assert told in page
        assert told in text


def test_a_release_that_never_had_traffic_has_no_picture() -> None:
    assert timeline(_story(_BAD[:2], {})) is None
    assert "img" not in html(_story(_BAD[:2], {})).partition("<body>")[2]


def test_a_release_under_way_is_drawn_too() -> None:
    assert timeline(_story(_BAD[:4], {NEW: (), OLD: ()})) is not None


def test_old_releases_are_drawn_by_the_minute_and_long_ones_by_more() -> None:
    second, now = timedelta(seconds=1), NOON + timedelta(hours=3)
    assert step_for((now - 60 * second, now), second, now) == second
    assert step_for((now - 1800 * second, now), second, now) == 10 * second
    assert step_for((NOON, NOON + 60 * second), second, now) == 60 * second
    assert step_for((NOON - timedelta(days=90), now), second, now) == 3600 * second


def test_the_page_is_put_at_its_place_at_one_stroke(tmp_path: Path) -> None:
    story = _story(_BAD, _MEASURED)
    path = write(Report(story, "<html>", ""), tmp_path)
    assert path == tmp_path / "staging" / "v2.html"
    assert path.read_text() == "<html>"
    assert [one.name for one in path.parent.iterdir()] == ["v2.html"]
