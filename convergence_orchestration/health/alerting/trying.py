"""A message that tries channels out.

What belongs here: its words, and to whom it goes. It is no event of an alert and is in no table.
"""

from collections.abc import Sequence
from datetime import datetime

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.health.alerting.channels import Channel
from convergence_orchestration.health.alerting.delivery import send_all
from convergence_orchestration.health.alerting.model import Severity
from convergence_orchestration.health.alerting.words import Notification


def try_channels(channels: Sequence[Channel], name: str, environment: str, now: datetime) -> dict[str, str]:
    """Send a test message to the channel of that name, to all if it is empty: why each did not take it, empty if it did.

    Raises:
        PermanentError: NOT_FOUND if there is no such channel.
    """
    wanted = [channel for channel in channels if name in ("", channel.name)]
    if not wanted:
        known = ", ".join(channel.name for channel in channels)
        raise PermanentError(
            ErrorCode.NOT_FOUND, f"Name a channel that there is: {known}.", {"field": "channel"}
        )
    said = Notification(
        f"[TEST] alerts of {environment} reach you",
        f"Somebody tried out this channel at {now:%Y-%m-%d %H:%M:%S} UTC. Nothing is wrong, and nothing is to be done.",
        Severity.INFO,
        is_over=False,
    )
    whys = send_all([(channel, (), said) for channel in wanted])
    return {channel.name: why for channel, why in zip(wanted, whys, strict=True)}
