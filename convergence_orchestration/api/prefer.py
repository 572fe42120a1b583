"""The Prefer header (RFC 7240): how long a caller wants to wait for a run.

What belongs here: parsing. A preference that makes no sense is ignored, as the RFC asks, never an error.
"""

import re

LONGEST_WAIT = 600.0
"""Seconds; the longest that a call waits whatever is preferred."""

_PREFERENCE = re.compile(r"\s*(?P<name>[A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*\"?(?P<value>[^\";]*)\"?\s*)?(?:;.*)?")


def wait_seconds(header: str | None, default: float) -> float:
    """Seconds to wait for a run: 0 for `respond-async` without `wait=N`, N for `wait=N`, else `default`."""
    preferences = _preferences(header or "")
    wanted = preferences.get("wait", "")
    if wanted.isascii() and wanted.isdecimal():
        return min(float(wanted), LONGEST_WAIT)
    return 0.0 if "respond-async" in preferences else default


def _preferences(header: str) -> dict[str, str]:
    """Name (in lower case) to value; the first of two equal names counts, as in the RFC."""
    found: dict[str, str] = {}
    for part in header.split(","):
        if match := _PREFERENCE.fullmatch(part):
            found.setdefault(match["name"].lower(), (match["value"] or "").strip())
    return found
