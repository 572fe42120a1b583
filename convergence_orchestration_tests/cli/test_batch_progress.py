import io

from rich.console import Console

from convergence_orchestration.cli.batch_progress import Tally, shown
from convergence_orchestration.cli.showing import duration


def said(*tallies: tuple[float, Tally], is_terminal: bool = False) -> str:
    """What is shown of tallies, each at its second."""
    text = io.StringIO()
    times = iter(at for at, _ in tallies)
    console = Console(file=text, force_terminal=is_terminal, width=120)
    with shown(console, lambda: next(times)) as display:
        for _, tally in tallies:
            display(tally)
    return text.getvalue()


def test_elsewhere_than_on_a_terminal_there_is_a_line_every_few_seconds() -> None:
    lines = said(
        (0, Tally(300, 0, 0)),
        (2, Tally(300, 10, 0)),
        (5, Tally(300, 20, 0)),
        (11, Tally(300, 20, 0)),
        (20, Tally(300, 59, 1)),
        (21, Tally(300, 298, 2)),
        (41, Tally(300, 298, 2)),
    ).splitlines()

    assert lines == [
        "0 of 300 made",
        "20 of 300 made, 4.0/s, about 1 min 10 s left",
        "59 of 300 made, 1 failed, 3.0/s, about 1 min 20 s left",
        "298 of 300 made, 2 failed, 14.3/s",
    ]


def test_where_nothing_changes_a_line_is_rare() -> None:
    lines = said(*((at, Tally(3, 1, 0)) for at in range(0, 65, 5))).splitlines()

    assert lines == ["1 of 3 made"] * 3


def test_what_was_made_before_is_no_speed() -> None:
    lines = said((0, Tally(300, 200, 0)), (10, Tally(300, 210, 0))).splitlines()

    assert lines == ["200 of 300 made", "210 of 300 made, 1.0/s, about 1 min 30 s left"]


def test_a_tally_that_falls_has_no_speed() -> None:
    assert said((0, Tally(3, 1, 1)), (9, Tally(3, 1, 0))).splitlines()[1] == "1 of 3 made"


def test_on_a_terminal_a_bar_shows_what_is_made_and_what_failed() -> None:
    text = said((0, Tally(300, 200, 0)), (0, Tally(300, 280, 20)), is_terminal=True)

    assert "200 of 300 made" in text
    assert "280 of 300 made, 20 failed" in text
    assert "━" in text


def test_durations_are_words() -> None:
    assert [duration(seconds) for seconds in (0.44, 59.9, 60, 3599, 3600, 90_000)] == [
        *("0.4 s", "59.9 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "25 h 0 min")
    ]
