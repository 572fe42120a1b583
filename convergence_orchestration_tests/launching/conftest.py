from collections.abc import Iterator

import pytest

from convergence_orchestration import logs
from convergence_orchestration.launching import worker
from convergence_orchestration_tests.log_setup import logs_set_back


@pytest.fixture(autouse=True)
def _logs_of_a_worker_end_with_it(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker sets up the logs of its process, which in some tests is this one."""
    monkeypatch.setattr(logs, "_carried", {})
    with logs_set_back():
        yield
    worker.log_as_ours.cache_clear()
