"""The line between a starter and its supervisor: as long as the starter holds it, the starter's death ends the platform.

What belongs here: what is sent over the supervisor's standard input, and watching it.
"""

import os
import threading
from collections.abc import Callable

LET_GO = b"\n"
"""What the starter sends when the platform shall outlive it."""


def watch(descriptor: int, on_loss: Callable[[], object]) -> None:
    """Call `on_loss`, in a thread, when the line ends without LET_GO."""

    def wait() -> None:
        # not through sys.stdin: a daemon thread that holds its lock breaks the interpreter's end
        if os.read(descriptor, 1) != LET_GO:
            on_loss()

    threading.Thread(target=wait, daemon=True, name="lifeline").start()
