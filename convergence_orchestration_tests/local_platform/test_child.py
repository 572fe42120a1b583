import signal
from pathlib import Path

import pytest

from convergence_orchestration.local_platform.child import Child, described
from convergence_orchestration.local_platform.model import ServiceName
from convergence_orchestration_tests.local_platform.builders import a_record, a_service

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "signal SIGKILL"), (-99, "signal 99")],
)
async def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert described(code) == words


async def test_a_child_that_has_ended_is_not_signalled(tmp_path: Path) -> None:
    child = Child.start(a_service(ServiceName.API, a_record(), "print('hello')"), tmp_path / "log", tmp_path)

    await child.group_ended()
    child.signal_group(signal.SIGKILL)

    assert child.exit_code == 0
    assert (tmp_path / "log").read_text() == "hello\n"
