"""An audit trail that only remembers."""

from dataclasses import dataclass, field

import dagster as dg

from convergence_orchestration.audit.model import AuditEntry


@dataclass
class Recording:
    """Stands where `AuditTrail` does."""

    entries: list[AuditEntry] = field(default_factory=list)

    def append(self, *entries: AuditEntry) -> None:
        self.entries += entries

    def resource(self) -> dg.ResourceDefinition:
        return dg.ResourceDefinition.hardcoded_resource(self)
