"""The supervisor's process: `python -m convergence_orchestration.local_platform DATA_DIR ...`, started by `convergence up`.

What belongs here: signals, the lifeline to the starter, and nothing that can be decided without a process.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from convergence_orchestration.errors import ConvergenceError
from convergence_orchestration.local_platform import lifeline, record
from convergence_orchestration.local_platform.deploying import is_deployed
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.environment import is_https_only
from convergence_orchestration.local_platform.model import PlatformState
from convergence_orchestration.local_platform.ports import Ports
from convergence_orchestration.local_platform.processes import identity_of
from convergence_orchestration.local_platform.services import Addresses, ApiDeployment, platform_services
from convergence_orchestration.local_platform.supervisor import Supervisor
from convergence_orchestration.logs import configure
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Settings, load_settings


def main(argv: list[str] | None = None) -> None:
    """Run the platform until SIGTERM, SIGINT, SIGHUP or the end of the lifeline; exit with 1 if the start failed."""
    arguments = _arguments(argv)
    # whoever is started with these ignored hands that on, and Dagster could then be stopped by SIGKILL alone
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        settings = load_settings()
        configure(settings)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # one line for each probe says nothing
        state = asyncio.run(_run(DataDirectory.at(arguments.data_dir), settings, arguments.first_start))
    except ConvergenceError as error:
        sys.exit(error.message)
    sys.exit(1 if state is PlatformState.FAILED else 0)


async def _run(directory: DataDirectory, settings: Settings, is_first_start: bool) -> PlatformState:  # noqa: FBT001
    platform = record.read(directory)
    assert platform is not None  # noqa: S101 the starter wrote it before it started us
    ports = Ports(platform.base_port)
    services = platform_services(
        directory,
        ports,
        Addresses.of(platform),
        settings.gcp_project_id,
        os.environ,
        is_first_start=is_first_start,
        api=ApiDeployment(
            specification_of(settings.environment).service,
            f"local-{platform.platform_id[:8]}",
            is_deployed(directory, settings),
            settings.local_max_instances,
            is_https_only(settings.environment),
        ),
    )
    supervisor = Supervisor(services, directory, replace(platform, supervisor=identity_of(os.getpid())))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    lifeline.watch(sys.stdin.fileno(), lambda: loop.call_soon_threadsafe(supervisor.stop))
    return await supervisor.run()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The supervisor of one local platform")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--first-start", action="store_true", help="Dagster has no storage here yet")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
