"""`convergence demo`: the whole story against a fresh platform, timed.

What belongs here: the platform around the story, and the table of what was done.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import BasePort, directory_at, flag_for
from convergence_orchestration.cli.reporting import ExitStatus, console, interrupted_by_signals, tell
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError

if TYPE_CHECKING:
    from convergence_orchestration.local_platform.directory import DataDirectory
    from convergence_orchestration.local_platform.start import Running


@dataclass
class Diary:
    """What was done, with what was found and the seconds it took."""

    entries: list[tuple[str, str, float]] = field(default_factory=list)

    def note(self, title: str, act: Callable[[], str]) -> None:
        """Do a step and note it."""
        began = time.monotonic()
        found = act()
        seconds = time.monotonic() - began
        self.entries.append((title, found, seconds))
        tell(f"{seconds:6.1f} s  {title}: {found}")


def demo(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="A directory without a platform; a temporary one if left out."),
    ] = None,
    base_port: BasePort = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the platform running.")] = False,
) -> None:
    """Tell the whole story on a fresh platform: start, bootstrap, two tenants, their keys and tables, a revoked key."""
    interrupted_by_signals()
    path = data_dir or Path(tempfile.mkdtemp(prefix="convergence-demo-"))
    directory = directory_at(path)
    diary = Diary()
    is_wanted = data_dir is not None or keep
    try:
        _require_fresh(directory)
        with _platform(directory, base_port, diary, keep=keep):
            _tell_story(directory, diary)
    except KeyboardInterrupt:
        raise typer.Exit(ExitStatus.INTERRUPTED) from None
    except ConvergenceError:
        is_wanted = True  # for its logs
        tell(f"What was written until then is in {directory.path}.")
        raise
    finally:
        _print_table(diary)
        if not is_wanted:
            shutil.rmtree(path, ignore_errors=True)
    if keep:
        flag = flag_for(path)
        typer.echo(f"It is left running: convergence status{flag}, convergence down{flag}")


@contextmanager
def _platform(
    directory: "DataDirectory", base_port: int | None, diary: Diary, *, keep: bool
) -> Iterator[None]:
    """A healthy platform for the time of the story, or if it is to be kept and the story went well, beyond it."""
    from convergence_orchestration.local_platform.ports import free_base_port  # noqa: PLC0415 not for --help
    from convergence_orchestration.local_platform.start import start  # noqa: PLC0415
    from convergence_orchestration.settings import load_settings  # noqa: PLC0415

    running = start(directory, load_settings(), base_port or free_base_port())
    is_kept = False
    try:
        diary.note("platform started", lambda: _until_healthy(running))
        yield
        is_kept = keep
    finally:
        if is_kept:
            running.let_go()
        else:
            diary.note("platform stopped", lambda: f"{running.stop().state}, no process is left")


def _until_healthy(running: "Running") -> str:
    from convergence_orchestration.cli.progress import shown  # noqa: PLC0415 with Rich
    from convergence_orchestration.local_platform.ports import Ports  # noqa: PLC0415

    with shown(console(stderr=True)) as display:
        platform = running.wait_until_healthy(display)
    return (
        f"{len(platform.services)} services on ports {platform.base_port} to {Ports(platform.base_port).last}"
    )


def _tell_story(directory: "DataDirectory", diary: Diary) -> None:
    from convergence_orchestration.cli.access import access_to  # noqa: PLC0415 with Google's libraries
    from convergence_orchestration.cli.story import Story  # noqa: PLC0415
    from convergence_orchestration.local_platform.environment import platform_settings  # noqa: PLC0415
    from convergence_orchestration.local_platform.running import running_platform  # noqa: PLC0415

    settings = platform_settings(running_platform(directory))
    Story(access_to(directory, None), settings, directory.path).perform(diary.note)


def _require_fresh(directory: "DataDirectory") -> None:
    if directory.record_file.exists():
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Choose another --data-dir, or none: {directory.path} has a platform already, and the story needs a fresh one.",
        )


def _print_table(diary: Diary) -> None:
    if not diary.entries:
        return
    from rich.table import Table  # noqa: PLC0415

    table = Table("step", "found", "seconds", title="convergence demo", title_justify="left")
    table.columns[-1].justify = "right"
    for title, found, seconds in diary.entries:
        table.add_row(title, found, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", "", f"{sum(seconds for *_, seconds in diary.entries):.1f}")
    console().print(table)
