import os
import stat
from pathlib import Path

import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import ServiceName
from convergence_orchestration.settings import Environment
from convergence_orchestration_tests.local_platform.builders import a_directory


def test_a_data_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    directory = a_directory(tmp_path / "a directory" / "deep")

    for path in (
        directory.path,
        directory.logs,
        directory.local_gcp,
        directory.bigquery,
        directory.dagster_home,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert directory.log_of(ServiceName.API) == directory.path / "logs" / "api.log"


def test_a_relative_path_is_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert DataDirectory.at(Path("here")).path == tmp_path / "here"


def test_each_environment_has_a_directory_of_its_own() -> None:
    names = [DataDirectory.name_for(environment) for environment in Environment]

    assert names == [".convergence", ".convergence-staging", ".convergence-production"]


def test_a_file_is_refused_as_a_data_directory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(PermanentError, match="Choose another --data-dir"):
        DataDirectory.at(file).create()


def test_one_platform_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    assert not directory.is_locked()

    descriptor = directory.lock()

    assert descriptor is not None
    assert directory.is_locked()
    assert directory.lock(patience=0.1) is None
    os.close(descriptor)
    assert not directory.is_locked()
