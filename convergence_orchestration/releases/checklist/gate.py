"""The gate in front of a release: finds out how its check-list stands, records it, and stops what is not fit.

What belongs here: observing what can be observed, waiving with a reason, and recording signatures and results of suites.
What counts as met is items.py.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from convergence_orchestration.audit.model import Actor, AuditEntry, Outcome, Target
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.releases.checklist.items import (
    OF_THE_IMAGE,
    RESULT_FOR,
    SIGNED,
    Checklist,
    Item,
    OpenItem,
    open_items,
)
from convergence_orchestration.releases.model import EventKind, Numbers, ReleaseEvent, RevisionName
from convergence_orchestration.releases.order import Order
from convergence_orchestration.releases.placing import stable_of, tag_uri, unproven
from convergence_orchestration.releases.site import Site
from convergence_orchestration.releases.smoke import answers

type LastBackup = Callable[[BigQuery, datetime], datetime | None]
"""When the last complete backup was taken that can be restored now (the second argument), UTC; None if there is none."""

_NOBODY: Final = RevisionName("")


def pass_gate(site: Site, order: Order, image: str | None, last_backup: LastBackup) -> tuple[Item, ...]:
    """The items of the check-list that are met or waived; those of the image only when it is known.

    Raises:
        PermanentError: FAILED_PRECONDITION, which says of each open item why it is open and how to meet it.
    """
    whole = Checklist(
        site.specification.checklist,
        order.release_id,
        order.environment,
        image,
        site.specification.backup_within,
    )
    checklist = whole if image is not None else whole.before_the_image()
    _check_overrides(order, whole)
    site.events.append(*_observed(site, order, checklist, last_backup))
    missing = open_items(checklist, _known(site, order, image), site.clock())
    waived = [each for each in missing if each.item in order.overrides]
    _waive(site, order, waived)
    still_open = [each for each in missing if each not in waived]
    if still_open:
        raise _stopped(order, still_open)
    return checklist.items


def sign(site: Site, order: Order, item: Item, name: str, note: str) -> ReleaseEvent:
    """Record that somebody vouches for an item of one release.

    Raises:
        PermanentError: INVALID_ARGUMENT for an item that nobody signs, or without a name.
    """
    name = name.strip()
    if item not in SIGNED:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Sign {' or '.join(sorted(SIGNED))}: {item} is met by what was done, not by a name.",
            {"field": "item"},
        )
    if not name.isprintable() or not 2 <= len(name) <= 100:  # noqa: PLR2004 a name
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            "Give the name of whoever signs, 2 to 100 characters.",
            {"field": "name"},
        )
    event = checked(order, site.clock(), item, note or f"Signed by {name}.", met=True, actor=name)
    _audit(site, "release.signed", event, {"item": item.value})
    site.events.append(event)
    return event


def suite_event(order: Order, now: datetime, image: str, passed: int, failed: int) -> ReleaseEvent:
    """That a suite ran in the order's environment against this image, to be appended by whoever ran it."""
    is_met = failed == 0 and passed > 0
    words = f"{passed} passed, {failed} failed."
    numbers = {"passed": passed, "failed": failed}
    return checked(order, now, Item.STAGING_SUITE, words, met=is_met, image=image, numbers=numbers)


def checked(  # noqa: PLR0913 one argument for each column
    order: Order,
    now: datetime,
    item: Item,
    reason: str,
    *,
    met: bool,
    image: str | None = None,
    numbers: Numbers | None = None,
    actor: str | None = None,
    revision: RevisionName | None = None,
) -> ReleaseEvent:
    """That an item of the check-list was looked at."""
    return order.event(
        EventKind.CHECKED,
        now,
        image=image,
        revision=revision,
        reason=reason,
        evidence={"item": item.value, "met": met, **(numbers or {})},
        actor=actor or order.actor,
    )


def _check_overrides(order: Order, checklist: Checklist) -> None:
    unknown = [item for item in order.overrides if item not in checklist.items]
    if unknown:
        raise PermanentError(
            ErrorCode.INVALID_ARGUMENT,
            f"Waive only what the check-list of {order.environment} has: {', '.join(unknown)} is not on it.",
            {"field": "overrides"},
        )


def _observed(
    site: Site, order: Order, checklist: Checklist, last_backup: LastBackup
) -> Iterable[ReleaseEvent]:
    """What can be found out without anybody's help."""
    if Item.BACKUP in checklist.items:
        now = site.clock()
        yield _backup(order, now, last_backup(site.events.bigquery, now))
    if Item.ROLLBACK_TARGET in checklist.items:
        yield _rollback_target(site, order)


def _backup(order: Order, now: datetime, taken_at: datetime | None) -> ReleaseEvent:
    if taken_at is None:
        return checked(order, now, Item.BACKUP, "There is no backup.", met=False)
    words = f"The last backup is of {taken_at:%Y-%m-%d %H:%M} UTC."
    return checked(order, now, Item.BACKUP, words, met=True, numbers={"taken_at": taken_at.isoformat()})


def _rollback_target(site: Site, order: Order) -> ReleaseEvent:
    state = site.read()
    events = site.events.of_service(site.environment, site.service) if state is not None else []
    target = stable_of(state, _NOBODY, unproven(events)) if state is not None else None
    if state is None or target is None:
        words = "A first deployment: there is nothing to roll back to."
        return checked(order, site.clock(), Item.ROLLBACK_TARGET, words, met=True)
    uri = tag_uri(state, target)
    if not uri:
        words, is_alive = f"{target} serves and has no tag to ask it on.", False
    else:
        is_alive = answers(site.http, uri)
        words = f"{target} answers on its tag." if is_alive else f"{target} does not answer at {uri}."
    return checked(order, site.clock(), Item.ROLLBACK_TARGET, words, met=is_alive, revision=target)


def _known(site: Site, order: Order, image: str | None) -> list[ReleaseEvent]:
    known = site.events.of_release(order.environment, order.service, order.release_id)
    if image is None or not OF_THE_IMAGE & set(site.specification.checklist):
        return known
    return [*known, *site.events.checks_of_image(image, site.clock() - RESULT_FOR)]


def _waive(site: Site, order: Order, waived: Iterable[OpenItem]) -> None:
    for each in waived:
        reason = order.overrides[each.item]
        event = order.event(
            EventKind.OVERRIDDEN,
            site.clock(),
            each.item.value,
            reason=reason,
            evidence={"item": each.item.value, "why_open": each.why},
        )
        _audit(site, "release.overridden", event, {"item": each.item.value, "reason": reason})
        site.events.append(event)


def _audit(site: Site, action: str, event: ReleaseEvent, details: Mapping[str, object]) -> None:
    """The audit row before the event: whether it then happened, the log of events says under `event_id`."""
    site.audit.append(
        AuditEntry(
            action=action,
            actor=Actor(site.audit.actor_kind, event.actor),
            outcome=Outcome.ATTEMPTED,
            target=Target("release", f"{event.environment}/{event.release_id}"),
            details={"event_id": event.event_id, **details},
            run_id=event.run_id,
        )
    )


def _stopped(order: Order, missing: list[OpenItem]) -> PermanentError:
    lines = "\n".join(f"- {each}" for each in missing)
    return PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"Meet these items of the check-list and launch release {order.release_id} again, or waive them with a reason "
        f"each (overrides):\n{lines}",
        {"open": [each.item.value for each in missing]},
    )
