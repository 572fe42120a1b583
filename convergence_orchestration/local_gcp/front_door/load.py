"""How busy the revisions are, for whoever starts and stops instances.

What belongs here: an average over the last seconds, no clock and no Envoy.
"""

from collections import deque
from collections.abc import Mapping


class Load:
    """Requests under way by revision, averaged over the last `kept` looks."""

    def __init__(self, kept: int) -> None:
        self._looks: deque[Mapping[str, int]] = deque(maxlen=kept)

    def note(self, under_way: Mapping[str, int]) -> None:
        """Remember one look."""
        self._looks.append(under_way)

    def averages(self) -> dict[str, float]:
        """By each revision of the last look; a revision counts from the first look that it was in."""
        return {revision: self._average(revision) for revision in (self._looks[-1] if self._looks else ())}

    def _average(self, revision: str) -> float:
        seen = [look[revision] for look in self._looks if revision in look]
        return round(sum(seen) / len(seen), 2)
