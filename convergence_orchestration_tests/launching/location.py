"""The code location of the launcher's tests: copied to a directory of its own, so that a test may change it."""

import os
import signal
import sys
import time
from pathlib import Path

import dagster as dg

VERSION = "one"


class Marks(dg.Config):
    """Where an op leaves its marks: `<run id>.<started|ended>` files."""

    directory: str
    seconds: float = 0.0


def mark(directory: str, name: str) -> None:
    with (Path(directory) / name).open("a") as file:
        file.write(f"{os.getpid()} {time.time()}\n")


@dg.op
def prints(context: dg.OpExecutionContext) -> None:
    print(f"version {VERSION}, forked from {os.getppid()}")  # noqa: T201 what is captured
    print("to standard error", file=sys.stderr)  # noqa: T201
    print("knows the secret" if os.environ.get("LAUNCHING_TEST_SECRET") else "knows nothing")  # noqa: T201
    os.system("echo from a child process")  # noqa: S605
    context.log.info("logged")


@dg.op
def sleeps(context: dg.OpExecutionContext, config: Marks) -> None:
    mark(config.directory, f"{context.run_id}.started")
    time.sleep(config.seconds)
    mark(config.directory, f"{context.run_id}.ended")


@dg.op
def clings_to_life(context: dg.OpExecutionContext, config: Marks) -> None:
    mark(config.directory, f"{context.run_id}.started")
    while True:
        try:
            time.sleep(60)
        except dg.DagsterExecutionInterruptedError:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


@dg.op
def dies_once(context: dg.OpExecutionContext, config: Marks) -> None:
    if context.run.parent_run_id is None:
        mark(config.directory, f"{context.run_id}.started")
        time.sleep(60)


@dg.op
def fails() -> None:
    raise dg.Failure("Do what the test says.", allow_retries=False)


@dg.job(executor_def=dg.in_process_executor)
def printing() -> None:
    prints()


@dg.job(executor_def=dg.in_process_executor)
def sleeping() -> None:
    sleeps()


@dg.job(executor_def=dg.in_process_executor)
def clinging() -> None:
    clings_to_life()


@dg.job(executor_def=dg.in_process_executor, tags={"dagster/max_retries": "1"})
def dying_once() -> None:
    dies_once()


@dg.job(executor_def=dg.in_process_executor)
def failing() -> None:
    fails()


defs = dg.Definitions(jobs=[printing, sleeping, clinging, dying_once, failing])
