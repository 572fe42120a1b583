"""Doing something with a deadline, whatever it waits for.

What belongs here: the thread that is waited for. Google's clients have deadlines of their own, but several of them one behind the
other take longer than a tick of Dagster's may.
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from convergence_orchestration.errors import ErrorCode, TransientError

type _Outcome[Found] = tuple[Found, None] | tuple[None, BaseException]


def within[Found](seconds: float, act: Callable[[], Found]) -> Found:
    """What `act` gives. One that is late goes on by itself, and what becomes of it is nobody's business any more.

    Raises:
        TransientError: DEADLINE_EXCEEDED. Whatever `act` raises.
    """
    outcomes: SimpleQueue[_Outcome[Found]] = SimpleQueue()
    # a daemon: what never comes back must not keep the process from ending
    Thread(target=lambda: outcomes.put(_outcome(act)), daemon=True).start()
    try:
        found, error = outcomes.get(timeout=seconds)
    except Empty:
        raise TransientError(
            ErrorCode.DEADLINE_EXCEEDED, f"Try again: this was not done within {seconds:g} s."
        ) from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value] # without an error there is one


def _outcome[Found](act: Callable[[], Found]) -> "_Outcome[Found]":
    try:
        return act(), None
    except BaseException as error:  # noqa: BLE001 it is raised where it is waited for
        return None, error
