"""What a command changes by itself, without the API and without a run, between two rows of the audit log.

What belongs here: opening the log for one act, and who acts. The order of rows and act is `audit/acts.py`.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from convergence_orchestration.settings import Settings

_TOTAL_SECONDS = 10.0  # an act whose row is not stored by then is not begun


def operator() -> str:
    """Who types: `cli:` and the name that this machine has for the person."""
    try:
        return f"cli:{getpass.getuser()}"
    except OSError:  # a container's user without a name
        return f"cli:{os.getuid()}"


@contextmanager
def audited(
    settings: "Settings", action: str, kind: str, target_id: str, *, needs_log: bool = True
) -> Iterator[dict[str, object]]:
    """The act inside the block, on a target of this kind; what is put into the dictionary is told by its outcome's row.

    Args:
        settings: of the environment that is changed; their BigQuery has the log.
        action: its name in the log.
        kind: what kind of thing is changed, for example `secret`.
        target_id: which one; never what somebody typed unchecked, which could be a key.
        needs_log: False for what the guide has done before the platform is bootstrapped.

    Raises:
        PermanentError: NOT_BOOTSTRAPPED: there is no log yet; nothing was done.
        TransientError: UNAVAILABLE: a row could not be written; it says whether anything was done.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 not for --help

    from convergence_orchestration.audit.acts import recorded  # noqa: PLC0415
    from convergence_orchestration.audit.model import (  # noqa: PLC0415
        Actor,
        ActorKind,
        AuditEntry,
        Outcome,
        Target,
    )
    from convergence_orchestration.audit.trail import AuditTrail  # noqa: PLC0415
    from convergence_orchestration.audit.writer import AuditWriter, new_writer_id  # noqa: PLC0415
    from convergence_orchestration.gcp.bigquery import BigQuery  # noqa: PLC0415
    from convergence_orchestration.gcp.clients import bigquery_client  # noqa: PLC0415

    def now() -> datetime:
        return datetime.now(UTC)

    client = bigquery_client(settings)
    writer = AuditWriter(BigQuery(client, _TOTAL_SECONDS), new_writer_id("cli"), settings.environment, now)
    trail = AuditTrail(writer, ActorKind.OPERATOR)
    act = AuditEntry(action, Actor(trail.actor_kind, operator()), Outcome.ATTEMPTED, Target(kind, target_id))
    try:
        with recorded(trail, act, now, None if needs_log else _tell_of_no_log) as details:
            yield details
    finally:
        writer.close()
        client.close()  # type: ignore[no-untyped-call]


def _tell_of_no_log() -> None:
    tell("There is no audit log yet, so this left no row in it: it is made by the bootstrap.")
