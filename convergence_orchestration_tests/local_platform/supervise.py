"""A supervisor of tiny services as a process of its own, for tests that kill it: `python supervise.py DATA_DIR`.

What belongs here: the process. It writes its services' process ids with the record, as any supervisor does.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import ServiceName
from convergence_orchestration.local_platform.processes import identity_of
from convergence_orchestration.local_platform.supervisor import Supervisor
from convergence_orchestration_tests.local_platform.builders import QUICK, SLEEP, a_service

PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
time.sleep(600)
"""


async def supervise(directory: DataDirectory) -> None:
    platform = record.read(directory)
    assert platform is not None
    services = (a_service(ServiceName.BIGQUERY, platform), a_service(ServiceName.API, platform, PARENT))
    own = replace(platform, supervisor=identity_of(os.getpid()))
    supervisor = Supervisor(services, directory, own, QUICK)
    asyncio.get_running_loop().add_signal_handler(15, supervisor.stop)
    await supervisor.run()


if __name__ == "__main__":
    data_directory = DataDirectory.at(Path(sys.argv[1]))
    lock = data_directory.lock()
    asyncio.run(supervise(data_directory))
