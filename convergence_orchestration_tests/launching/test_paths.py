import os
import tempfile
from pathlib import Path

import pytest

from convergence_orchestration.launching.paths import launch_paths


def test_the_socket_is_in_the_home_where_its_path_is_short_enough() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        paths = launch_paths(home)
        paths.make_directories()

        assert paths.new_socket() == paths.directory / "server.sock"
        assert paths.directory.stat().st_mode & 0o077 == 0


def test_a_long_home_has_its_socket_by_a_hash_in_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        sockets = [launch_paths(tmp_path / ("x" * 90) / name).new_socket() for name in ("a", "b")]

        assert sockets[0] != sockets[1]
        assert {socket.parent for socket in sockets} == {Path(temporary) / f"convergence-{os.getuid()}"}
        assert max(len(os.fsencode(socket)) for socket in sockets) <= 100


def test_a_socket_directory_that_others_may_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"convergence-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"convergence-{os.getuid()}").chmod(0o777)

    with pytest.raises(PermissionError, match="not a directory of this user alone"):
        launch_paths(tmp_path / ("x" * 90)).new_socket()


def test_one_home_however_spelled(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    assert launch_paths(tmp_path / "link") == launch_paths(f"{tmp_path}/x/..")


def test_without_a_server_there_is_no_socket(tmp_path: Path) -> None:
    paths = launch_paths(tmp_path)
    assert paths.socket() is None

    paths.make_directories()
    paths.state.write_text("{}")
    assert paths.socket() is None
