"""Where a key is in its life, and where it may go from there. Light to import: the command line names the states."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class KeyState(StrEnum):
    """Where a key is in its life; EXPIRED comes with time alone, without an event."""

    ACTIVE = "ACTIVE"
    ROTATING = "ROTATING"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


KEY_TRANSITIONS: Mapping[KeyState, frozenset[KeyState]] = MappingProxyType(
    {
        KeyState.ACTIVE: frozenset({KeyState.ROTATING, KeyState.EXPIRED, KeyState.REVOKED}),
        KeyState.ROTATING: frozenset({KeyState.EXPIRED, KeyState.REVOKED}),
        KeyState.EXPIRED: frozenset({KeyState.REVOKED}),
        KeyState.REVOKED: frozenset(),
    }
)
ACCEPTED_STATES = frozenset({KeyState.ACTIVE, KeyState.ROTATING})
