from datetime import timedelta
from xml.etree import ElementTree as ET

from convergence_orchestration.health.model import ProbeName, ProbeStatus
from convergence_orchestration.health.picture import COLOURS, data_uri, spans, strips
from convergence_orchestration_tests.health.builders import NOW, result

MINUTE = timedelta(minutes=1)
HEALTHY, UNHEALTHY = ProbeStatus.HEALTHY, ProbeStatus.UNHEALTHY


def test_results_that_say_the_same_are_one_stretch_and_a_gap_is_none() -> None:
    found = [
        result(HEALTHY, NOW),
        result(HEALTHY, NOW + MINUTE),
        result(UNHEALTHY, NOW + 2 * MINUTE),
        result(HEALTHY, NOW + 10 * MINUTE),
    ]
    assert spans(found, NOW + 11 * MINUTE) == [
        (HEALTHY, NOW, NOW + 2 * MINUTE),
        (UNHEALTHY, NOW + 2 * MINUTE, NOW + 4 * MINUTE),
        (HEALTHY, NOW + 10 * MINUTE, NOW + 11 * MINUTE),
    ]


def test_the_picture_has_a_line_for_each_target_and_escapes_its_name() -> None:
    found = [
        result(HEALTHY, NOW - 5 * MINUTE),
        result(UNHEALTHY, NOW - MINUTE),
        result(ProbeStatus.UNKNOWN, NOW - MINUTE, ProbeName.TLS, "https://a.example/?<&>" + "x" * 100),
    ]
    svg = strips(found, NOW - timedelta(hours=1), NOW)

    drawn = ET.fromstring(svg)  # noqa: S314 our own text
    name = "{http://www.w3.org/2000/svg}"
    words = [one.text or "" for one in drawn.findall(f"{name}text")]
    colours = {one.get("fill") for one in drawn.findall(f"{name}rect")}
    assert words[0] == "development api_live https://api.example"
    assert words[1].startswith("development tls https://a.example/?<&>x")
    assert len(words[1]) == 70
    assert words[2:] == ["11:00", "12:00 UTC"]
    assert colours == set(COLOURS.values())
    assert data_uri(svg).startswith("data:image/svg+xml;base64,")


def test_what_was_found_before_the_picture_begins_stays_inside_it() -> None:
    svg = strips([result(HEALTHY, NOW - timedelta(hours=2))], NOW - timedelta(hours=1), NOW)
    drawn = ET.fromstring(svg)  # noqa: S314 our own text
    (bar,) = drawn.findall("{http://www.w3.org/2000/svg}rect")
    assert (float(bar.get("x") or 0), bar.get("width")) == (430.0, "1.0")
