from datetime import UTC, datetime

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.model import EventKind, RevisionName
from convergence_orchestration.releases.order import Order, parse_order, progress_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMAGE = "registry/api@sha256:" + "a" * 64


def parsed(**fields: object) -> Order:
    asked = {"release": "v1", "environment": "staging", "service": "api", "source": "", "image": IMAGE}
    rest: dict[str, object] = {"description": "", "overrides": {}, "actor": "ana", "run_id": None}
    return parse_order(**{**asked, **rest, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"image": ""}, "Give either source"),
        ({"source": "file:///x"}, "Give either source"),
        ({"image": "registry/api:latest"}, "Name the image by its digest"),
        ({"release": "v 1"}, "Name a release by"),
        ({"description": "x" * 501}, "Shorten description"),
        ({"overrides": {"luck": "always"}}, "Name an item of the check-list"),
        ({"overrides": {"on_call": " "}}, "Give a reason"),
    ],
)
def test_a_wrong_order_says_what_to_do(fields: dict[str, object], says: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parsed(**fields)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert caught.value.message.startswith(says)


def test_overrides_are_items_with_reasons() -> None:
    assert parsed(overrides={"on_call": " an outage "}).overrides == {Item.ON_CALL: "an outage"}


def test_what_can_happen_once_has_one_id_and_each_try_has_its_own() -> None:
    order = parsed()
    assert (
        order.event(EventKind.BUILT, NOW).event_id == parsed(actor="bob").event(EventKind.BUILT, NOW).event_id
    )
    assert order.event(EventKind.CHECKED, NOW).event_id != order.event(EventKind.CHECKED, NOW).event_id
    assert (
        order.event(EventKind.BUILT, NOW).event_id
        != parsed(release="v2").event(EventKind.BUILT, NOW).event_id
    )


def test_progress_is_what_the_events_add_up_to() -> None:
    order, name = parsed(), RevisionName("api-v1")
    events = [
        order.event(EventKind.STARTED, NOW),
        order.event(EventKind.CHECKED, NOW),
        order.event(EventKind.BUILT, NOW, image=IMAGE),
        order.event(EventKind.DEPLOYED, NOW, image=IMAGE, revision=name),
        order.event(EventKind.HANDED_OVER, NOW, image=IMAGE, revision=name),
    ]
    steps = [progress_of(events[:count]) for count in range(6)]
    assert [step.image for step in steps] == [None, None, None, IMAGE, IMAGE, IMAGE]
    assert [step.revision for step in steps] == [None] * 4 + [name, name]
    assert [step.handed_over is not None for step in steps] == [False] * 5 + [True]
    assert steps[0].started is None
