"""The check-list of a release: what has to be so before it may begin, and what of it is open.

What belongs here: the deployment guide's six items, what counts as meeting each, and how to. Finding out is gate.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from convergence_orchestration.releases.model import EventKind, ReleaseEvent, ReleaseId

ALIVE_FOR: Final = timedelta(minutes=10)
"""So long an answer of the rollback target counts."""
RESULT_FOR: Final = timedelta(days=30)
"""So long a suite or a load test of an image counts."""


class Item(StrEnum):
    """One line of the guide's check-list."""

    STAGING_SUITE = "staging_suite"
    LOAD_TEST = "load_test"
    SECURITY_REVIEW = "security_review"
    ON_CALL = "on_call"
    BACKUP = "backup"
    ROLLBACK_TARGET = "rollback_target"


OF_THE_IMAGE: Final = frozenset({Item.STAGING_SUITE, Item.LOAD_TEST})
"""Met for an image wherever it ran, so they can be asked for only when it is known which it is."""
SIGNED: Final = frozenset({Item.SECURITY_REVIEW, Item.ON_CALL})
"""Met by a person's name, for one release in one environment."""


@dataclass(frozen=True)
class Checklist:
    """What a release needs.

    Attributes:
        items: in the order in which they are shown.
        image: by digest; None: not built yet.
        backup_within: how old the last backup may be.
    """

    items: tuple[Item, ...]
    release_id: ReleaseId
    environment: str
    image: str | None
    backup_within: timedelta = timedelta(hours=24)

    def before_the_image(self) -> "Checklist":
        """Those items for which the image does not matter."""
        return replace(self, items=tuple(item for item in self.items if item not in OF_THE_IMAGE))


@dataclass(frozen=True)
class OpenItem:
    """What is missing, and how to come by it."""

    item: Item
    why: str
    how: str

    def __str__(self) -> str:
        return f"{self.item}: {self.why} {self.how}"


def open_items(checklist: Checklist, events: Iterable[ReleaseEvent], now: datetime) -> tuple[OpenItem, ...]:
    """What of the check-list is neither met nor waived.

    Args:
        checklist: of the release.
        events: those of the release and those about its image, from any environment, in any order.
        now: UTC.
    """
    known = sorted(events, key=lambda event: event.recorded_at)
    waived = {event.evidence.get("item") for event in known if _is_waiver(event, checklist)}
    return tuple(
        OpenItem(item, why, _how(item, checklist))
        for item in checklist.items
        if item not in waived and (why := _why_open(item, checklist, known, now))
    )


def _is_waiver(event: ReleaseEvent, checklist: Checklist) -> bool:
    return event.kind is EventKind.OVERRIDDEN and _is_of_release(event, checklist)


def _is_of_release(event: ReleaseEvent, checklist: Checklist) -> bool:
    return event.release_id == checklist.release_id and event.environment == checklist.environment


def _why_open(item: Item, checklist: Checklist, events: list[ReleaseEvent], now: datetime) -> str:
    """Why the item is open; empty if it is met. What was recorded last counts."""
    found = [event for event in events if _is_about(event, item, checklist)]
    if not found:
        return _NOTHING_KNOWN[item]
    last = found[-1]
    if last.evidence.get("met") is not True:
        return last.reason or "It was tried and is not met."
    if item in OF_THE_IMAGE and now - last.recorded_at > RESULT_FOR:
        return f"It was last met on {last.recorded_at:%Y-%m-%d}, which is too long ago."
    if item is Item.ROLLBACK_TARGET and now - last.recorded_at > ALIVE_FOR:
        return "It answered last at " + f"{last.recorded_at:%H:%M} UTC."
    if item is Item.BACKUP:
        return _why_backup_is_too_old(last, checklist, now)
    return ""


def _is_about(event: ReleaseEvent, item: Item, checklist: Checklist) -> bool:
    if event.kind is not EventKind.CHECKED or event.evidence.get("item") != item:
        return False
    if item is Item.STAGING_SUITE and event.environment != "staging":
        return False
    if item in OF_THE_IMAGE:
        return checklist.image is not None and _digest(event.image) == _digest(checklist.image)
    return _is_of_release(event, checklist)


def _digest(image: str | None) -> str:
    """The same image may lie in several repositories."""
    return (image or "").rpartition("@")[2]


def _why_backup_is_too_old(event: ReleaseEvent, checklist: Checklist, now: datetime) -> str:
    taken_at = datetime.fromisoformat(str(event.evidence["taken_at"]))
    if now - taken_at <= checklist.backup_within:
        return ""
    hours = checklist.backup_within.total_seconds() / 3600
    return f"The last backup is of {taken_at:%Y-%m-%d %H:%M} UTC, more than {hours:g} hours ago."


_NOTHING_KNOWN: Final = {
    Item.STAGING_SUITE: "The staging suite has not passed for this image.",
    Item.LOAD_TEST: "This image was not load-tested.",
    Item.SECURITY_REVIEW: "Nobody has signed the security review of this release.",
    Item.ON_CALL: "Nobody on call has acknowledged this release.",
    Item.BACKUP: "There is no backup.",
    Item.ROLLBACK_TARGET: "It is not known whether the revision to roll back to answers.",
}


def _how(item: Item, checklist: Checklist) -> str:
    release = checklist.release_id
    signing = f"Launch the job sign_release_item with environment {checklist.environment}, release {release}, item {item} and your name."
    return {
        Item.STAGING_SUITE: "Release the image to staging and run the staging suite there.",
        Item.LOAD_TEST: "Release the image to staging and launch the job load_test_release for that release.",
        Item.SECURITY_REVIEW: signing,
        Item.ON_CALL: signing,
        Item.BACKUP: "Launch the job backup_control_plane.",
        Item.ROLLBACK_TARGET: "Mend or replace the revision that serves now, and give it a tag: gcloud run services "
        "update-traffic SERVICE --update-tags=TAG=REVISION.",
    }[item]
