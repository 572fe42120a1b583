"""The one way from a request to its answer, whatever carried it here.

What belongs here, in this order: faults, what was due before the call, the transaction, the caller's permission, the
log line. How requests arrive is the edges' business.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.local_gcp.codes import BY_NAME
from convergence_orchestration.local_gcp.corruption import corrupt
from convergence_orchestration.local_gcp.enforcement import require_permission
from convergence_orchestration.local_gcp.faults import Fault, Faults
from convergence_orchestration.local_gcp.refusals import Refusal
from convergence_orchestration.local_gcp.rpc import Call, Method, Service
from convergence_orchestration.local_gcp.store import Store
from convergence_orchestration.logs import logger

_log = logger(__name__)


class Dispatcher:
    """Answers the methods of all services from one store."""

    def __init__(
        self,
        services: Iterable[Service],
        store: Store,
        faults: Faults,
        clock: Callable[[], datetime],
        *,
        is_quiet: bool = False,
    ) -> None:
        """`is_quiet` has no line written for each answer: the process belongs to somebody who reads its output."""
        self.services = tuple(services)
        self._owners = {event: service for service in self.services for event in service.events}
        self._store = store
        self._faults = faults
        self._clock = clock
        self._is_quiet = is_quiet
        self._stopping = threading.Event()

    def answer(self, method: Method, request: Any, caller: str | None = None) -> Any:  # noqa: ANN401 any request, its response
        """The response to one request of `caller`, a service account; None is the project's owner.

        Raises:
            Refusal: the service says no, or the faults file does.
        """
        begin = time.perf_counter()
        code = "OK"
        try:
            return self._answer(method, request, caller)
        except Refusal as refusal:
            code = refusal.code.name
            raise
        except Exception as error:
            code = "INTERNAL"
            _log.exception("A defect of the local cloud; please report it.", method=method.full_name)
            message = (
                error.message if isinstance(error, ConvergenceError) else "Look into the local cloud's log."
            )
            raise Refusal(BY_NAME[code], message) from error
        finally:
            if not self._is_quiet:
                milliseconds = round((time.perf_counter() - begin) * 1000, 1)
                _log.debug("Answered.", method=method.full_name, code=code, milliseconds=milliseconds)

    def stop(self) -> None:
        """Cut short the delays that faults asked for."""
        self._stopping.set()

    def _answer(self, method: Method, request: Any, caller: str | None) -> Any:  # noqa: ANN401 any request, its response
        fault = self._meet_fault(method)
        now = self._clock()
        self._let_time_pass(now)
        with self._store.writing() if method.writes else self._store.reading() as rows:
            call = Call(rows, now, caller)
            require_permission(method.full_name, request, call)
            response = method.answer(request, call)
        response = method.response() if response is None else response
        if fault.corrupt is not None:
            corrupt(response, fault.corrupt)
        return response

    def _meet_fault(self, method: Method) -> Fault:
        fault = self._faults.meet(method.full_name)
        if fault.delay_seconds:
            self._stopping.wait(fault.delay_seconds)
        if fault.code is not None:
            raise Refusal(fault.code, fault.message, fault.reason)
        return fault

    def _let_time_pass(self, now: datetime) -> None:
        with self._store.reading() as rows:
            if rows.due(now) is None:
                return
        with self._store.writing() as rows:
            while due := rows.due(now):
                rows.set_timer(due.name, due.event, None)
                self._owners[due.event].elapsed(due, Call(rows, now))
