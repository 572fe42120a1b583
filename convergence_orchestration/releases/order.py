"""What somebody wants released, and how far it has come.

What belongs here: the order with its checks, its events' ids, and folding the events of one deployment. What is done about it
is deploying.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.build import repository_of
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.model import (
    EventKind,
    ReleaseEvent,
    ReleaseId,
    RevisionName,
    parse_release_id,
)

_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_LONGEST_TEXT = 500
_PER_TRY = frozenset({EventKind.CHECKED, EventKind.FAILED})


@dataclass(frozen=True)
class Order:
    """One release to one environment.

    Attributes:
        source, image: exactly one of them: what to build, or what was built, by digest.
        description: for people.
        overrides: items of the check-list that are waived, each with a reason.
        actor: who wants it.
    """

    release_id: ReleaseId
    environment: str
    service: str
    source: str = ""
    image: str = ""
    description: str = ""
    overrides: Mapping[Item, str] = field(default_factory=dict)
    actor: str = ""
    run_id: str | None = None

    def event(self, kind: EventKind, now: datetime, detail: str = "", **fields: Any) -> ReleaseEvent:  # noqa: ANN401 as ReleaseEvent
        """An event of this release. What can happen to it once only has an id that says so, whoever repeats it."""
        words = f"{self.environment}/{self.service}/{self.release_id}/{kind}/{detail}"
        event_id = str(uuid4() if kind in _PER_TRY else uuid5(NAMESPACE_URL, words))
        return ReleaseEvent(
            event_id=event_id,
            release_id=self.release_id,
            environment=self.environment,
            service=self.service,
            kind=kind,
            recorded_at=now,
            actor=fields.pop("actor", self.actor),
            run_id=self.run_id,
            **fields,
        )


@dataclass(frozen=True)
class Progress:
    """How far a deployment has come.

    Attributes:
        started: None: never heard of.
        image: once it is known.
        revision: once it is ready on its tag.
        handed_over: the rollout has it.
    """

    started: ReleaseEvent | None = None
    image: str | None = None
    revision: RevisionName | None = None
    handed_over: ReleaseEvent | None = None


def parse_order(  # noqa: PLR0913 one argument for each field of the form
    *,
    release: str,
    environment: str,
    service: str,
    source: str,
    image: str,
    description: str,
    overrides: Mapping[str, str],
    actor: str,
    run_id: str | None,
) -> Order:
    """The order that a form asks for.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if bool(source) == bool(image):
        raise _wrong("source", "Give either source, what to build, or image, what was built already.")
    if image and not _BY_DIGEST.fullmatch(image):
        raise _wrong(
            "image",
            "Name the image by its digest, REPOSITORY@sha256:..., for a tag may lead elsewhere tomorrow: gcloud artifacts "
            f"docker images describe {repository_of(image)} --format='value(image_summary.fully_qualified_digest)'.",
        )
    if len(description) > _LONGEST_TEXT:
        raise _wrong("description", f"Shorten description to {_LONGEST_TEXT} characters.")
    waived = {parse_item(name): parse_reason(reason) for name, reason in overrides.items()}
    return Order(
        parse_release_id(release), environment, service, source, image, description, waived, actor, run_id
    )


def parse_item(name: str) -> Item:
    """The item of the check-list that `name` is.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    if name not in Item:
        raise _wrong("item", f"Name an item of the check-list, one of {', '.join(Item)}.")
    return Item(name)


def parse_reason(reason: str) -> str:
    """A reason that says something.

    Raises:
        PermanentError: INVALID_ARGUMENT.
    """
    reason = reason.strip()
    if not reason or len(reason) > _LONGEST_TEXT:
        raise _wrong(
            "overrides", f"Give a reason of at most {_LONGEST_TEXT} characters for each item that is waived."
        )
    return reason


def progress_of(events: Iterable[ReleaseEvent]) -> Progress:
    """What the events of one release in one environment say, in order."""
    progress = Progress()
    for event in events:
        if event.kind is EventKind.STARTED:
            progress = Progress(started=event)
        elif event.kind is EventKind.BUILT:
            progress = Progress(progress.started, event.image)
        elif event.kind is EventKind.DEPLOYED:
            progress = Progress(progress.started, event.image or progress.image, event.revision)
        elif event.kind is EventKind.HANDED_OVER:
            progress = Progress(progress.started, progress.image, event.revision, event)
    return progress


def check_same_release(order: Order, started: ReleaseEvent) -> None:
    """Check that a release which has begun is this one.

    Raises:
        PermanentError: ALREADY_EXISTS.
    """
    asked = {"source": order.source, "image": order.image}
    before = {name: started.evidence.get(name, "") for name in asked}
    if before != asked:
        raise PermanentError(
            ErrorCode.ALREADY_EXISTS,
            f"Choose another name: release {order.release_id} was started with {before['image'] or before['source']}.",
            {"field": "release"},
        )


def _wrong(name: str, words: str) -> PermanentError:
    return PermanentError(ErrorCode.INVALID_ARGUMENT, words, {"field": name})
