"""What `logs.configure` changes in a process, set back: other tests share this one."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logs_set_back() -> Iterator[None]:
    """Whatever is configured inside is as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("convergence_orchestration")
    handlers, levels = root.handlers, (root.level, ours.level)
    hooks, config = (sys.excepthook, threading.excepthook), structlog.get_config()
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        sys.excepthook, threading.excepthook = hooks
        structlog.configure(**config)
        logging.captureWarnings(capture=False)
