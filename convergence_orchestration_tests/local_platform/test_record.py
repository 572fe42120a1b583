from pathlib import Path

import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.local_platform import record
from convergence_orchestration.local_platform.directory import DataDirectory
from convergence_orchestration.local_platform.model import (
    AdminKeySource,
    PlatformState,
    ProcessIdentity,
    ServiceName,
    ServiceRecord,
    ServiceState,
)
from convergence_orchestration_tests.local_platform.builders import a_directory, a_record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    directory = a_directory(tmp_path)
    service = ServiceRecord(
        ServiceState.HEALTHY, ProcessIdentity(12, 34.5), restarts=2, seconds=1.5, detail="fine"
    )
    written = a_record(
        state=PlatformState.RUNNING,
        admin_key_source=AdminKeySource.ENVIRONMENT,
        variables={"gcp_project_id": "a-project"},
        supervisor=ProcessIdentity(1, 2.0),
        services={ServiceName.API: service, ServiceName.DAEMON: ServiceRecord()},
        failure="none",
    )

    record.write(directory, written)

    assert record.read(directory) == written


def test_where_nothing_was_started_there_is_no_record(tmp_path: Path) -> None:
    assert record.read(a_directory(tmp_path)) is None
    assert record.read(DataDirectory.at(tmp_path / "nowhere")) is None
    (tmp_path / "file").touch()
    assert record.read(DataDirectory.at(tmp_path / "file")) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"services": {"other": {}}}', "null"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    directory = a_directory(tmp_path)
    directory.record_file.write_text(text)

    with pytest.raises(PermanentError, match="out of the way"):
        record.read(directory)
