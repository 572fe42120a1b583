"""What calls and runs record through: a writer, and which kind of somebody acts.

What belongs here: binding the two. Chains are the writer's.
"""

from dataclasses import dataclass

from convergence_orchestration.audit.model import ActorKind, AuditEntry
from convergence_orchestration.audit.writer import AuditWriter


@dataclass(frozen=True)
class AuditTrail:
    """An `AuditSink` over a writer."""

    writer: AuditWriter
    actor_kind: ActorKind

    def append(self, *entries: AuditEntry) -> None:
        """Record them all; errors are those of `AuditWriter.append`."""
        self.writer.append(*entries)
