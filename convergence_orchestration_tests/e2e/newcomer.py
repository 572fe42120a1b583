"""Somebody who has cloned the repository and types what README.md and docs/ say, word for word.

What belongs here: the checkout, `make run`, and typing the pages' blocks. The pages name the ports that everybody has; in a test
each such port is replaced by one that is free, and nothing else is.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.docs.pages import ROOT, Block
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform, free_base_port

RELEASED = "v1.1.0"
"""The release of the operating guide."""
BAKE_SECONDS = 5
TYPING_SECONDS = 480
_UP = "platform is up after"
_DOCUMENTED_PORT = re.compile(r"(?<=[\w.]):800([0-8])\b")
_NOT_CLONED = (
    ".git",
    ".venv",
    ".env",
    ".convergence*",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
    "htmlcov",
    "dist",
)
_PRELUDE = """\
set -euo pipefail
curl() { command curl --fail-with-body --no-progress-meter "$@"; } # a refusal ends the script
"""


@dataclass(frozen=True)
class Newcomer:
    """A checkout with a running platform in its `.convergence`."""

    checkout: Path
    base_port: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def platform(self) -> Platform:
        """The same as other tests see one."""
        return Platform(self.checkout / ".convergence", self.base_port)

    def type(self, blocks: Sequence[Block]) -> str:
        """Type all of them in one shell; what was shown.

        Raises:
            AssertionError: one failed; the end of what was shown names it.
        """
        script = self.checkout / "typed.sh"
        shown = self.checkout / "shown.txt"
        script.write_text(_PRELUDE + "".join(map(self._typed, blocks)), encoding="utf-8")
        shell = self._started(["bash", str(script)], shown)
        status = shell.wait(TYPING_SECONDS)
        text = shown.read_text(encoding="utf-8")
        assert status == 0, f"A block failed with status {status}:\n{text[-6000:]}"
        return text

    def make_run(self, log: Path) -> subprocess.Popen[bytes]:
        """`make run`, for as long as it goes; what is installed is the environment that this test runs in."""
        return self._started(["make", "--old-file=.venv/.ready", "run"], log)

    def end_what_goes_on(self) -> None:
        """What was typed to go on in the background ends with its shell's window."""
        for shell in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)

    def _started(self, command: list[str], shown: Path) -> subprocess.Popen[bytes]:
        with shown.open("wb") as output:  # a file: what goes on in the background would keep a pipe open
            process = subprocess.Popen(
                command,
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without what stands for settings, and with the free port and short stages."""
        ours = {name.upper() for name in Settings.model_fields} | {"CONVERGENCE_DATA_DIR", "API_URL"}
        kept = {name: value for name, value in os.environ.items() if name.upper() not in ours}
        return kept | {"API_PORT": str(self.base_port), "ROLLOUT_BAKE_SECONDS": str(BAKE_SECONDS)}

    def _typed(self, block: Block) -> str:
        text = _DOCUMENTED_PORT.sub(lambda port: f":{self.base_port + int(port[1])}", block.text)
        return f"\nprintf '\\n>>> %s\\n' {block.place}\n{text}\n"


@contextmanager
def newcomer(directory: Path) -> Iterator[Newcomer]:
    """Clone, `make run`, and Ctrl-C at the end."""
    made = Newcomer(_cloned(directory / "checkout"), free_base_port())
    log = directory / "make-run.log"
    started = made.make_run(log)
    try:
        _wait_until_up(started, log)
        yield made
    finally:
        os.killpg(started.pid, signal.SIGINT)
        try:
            started.wait(PATIENCE)
        finally:
            made.platform.convergence("down", check=False)
            made.end_what_goes_on()
    assert "Stopped." in log.read_text(encoding="utf-8")


def _cloned(checkout: Path) -> Path:
    """The repository as it lies here, with something in the API changed that can be released."""
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*_NOT_CLONED, "__pycache__", "tmp*"))
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    with (checkout / "convergence_orchestration" / "__init__.py").open("a", encoding="utf-8") as source:
        source.write("\n# a change to release\n")
    return checkout


def _wait_until_up(started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while _UP not in (text := log.read_text(encoding="utf-8")):
        assert started.poll() is None, f"make run ended with {started.returncode}:\n{text}"
        assert time.monotonic() < deadline, f"make run takes too long:\n{text}"
        time.sleep(0.2)
