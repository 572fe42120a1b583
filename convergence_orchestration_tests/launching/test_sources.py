import os
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

from convergence_orchestration.launching.sources import Fingerprint, LoadedSources, fingerprint, roots_of


def module(name: str, file: Path, *, is_package: bool = False) -> ModuleType:
    made = ModuleType(name)
    made.__file__ = str(file)
    if is_package:
        made.__path__ = [str(file.parent)]
    return made


def roots_besides_the_installation(modules: dict[str, ModuleType], *also: Path) -> list[str]:
    installed = set(sysconfig.get_paths().values())
    return [root for root in roots_of(modules, also) if root not in installed]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    directory = tmp_path / "pack"
    (directory / "inner").mkdir(parents=True)
    (directory / "__init__.py").write_text("")
    (directory / "inner" / "code.py").write_text("x = 1")
    return directory


def test_the_root_of_a_module_is_its_outermost_package(package: Path) -> None:
    modules = {
        "pack": module("pack", package / "__init__.py", is_package=True),
        "pack.inner.code": module("pack.inner.code", package / "inner" / "code.py"),
    }

    assert roots_besides_the_installation(modules) == [str(package)]


def test_the_root_of_a_single_file_is_the_file(tmp_path: Path) -> None:
    modules = {"location": module("location", tmp_path / "location.py")}

    assert roots_besides_the_installation(modules, tmp_path / "also.py") == [
        str(tmp_path / "also.py"),
        str(tmp_path / "location.py"),
    ]


def test_the_root_of_the_main_module_is_its_package(package: Path) -> None:
    main = module("__main__", package / "inner" / "code.py")
    main.__package__ = "pack.inner"

    assert roots_besides_the_installation({"__main__": main}) == [str(package)]


def test_installed_and_built_in_modules_are_not_watched_file_by_file() -> None:
    modules = {name: sys.modules[name] for name in ("json", "pytest", "sys")}

    assert roots_besides_the_installation(modules) == []


def test_a_new_installation_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "much.py").write_text("never looked at")
    found = {**sysconfig.get_paths(), "purelib": str(packages)}
    monkeypatch.setattr(sysconfig, "get_paths", lambda: found)
    roots = roots_of({})
    before = fingerprint(roots)

    (packages / "new-1.0.dist-info").mkdir()
    os.utime(packages, ns=(1, 1))

    assert str(packages) in roots
    assert fingerprint(roots) != before


@pytest.mark.parametrize("name", ["inner/code.py", "inner/query.sql", "tables.yaml"])
def test_a_changed_or_new_source_file_changes_the_fingerprint(package: Path, name: str) -> None:
    before = fingerprint([str(package)])

    (package / name).write_text("something longer than before")

    after = fingerprint([str(package)])
    assert after.digest != before.digest
    assert after.newest == (package / name).stat().st_mtime_ns


@pytest.mark.parametrize("name", ["__pycache__/code.pyc", ".git/index.py", "state.sqlite"])
def test_what_is_no_source_file_changes_nothing(package: Path, name: str) -> None:
    before = fingerprint([str(package)])

    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("x")

    assert fingerprint([str(package)]) == before


def test_a_vanished_root_is_another_state(tmp_path: Path) -> None:
    file = tmp_path / "location.py"
    file.write_text("x = 1")
    before = fingerprint([str(file)])

    file.unlink()

    assert fingerprint([str(file)]) == Fingerprint(fingerprint([]).digest, 0) != before


def test_a_tree_beyond_bounds_is_looked_at_in_part(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_orchestration.launching.sources._MOST_FILES", 1)
    before = fingerprint([str(package)])

    (package / "inner" / "code.py").write_text("changed beyond the bound")

    assert fingerprint([str(package)]) == before


def loaded(newest: int) -> LoadedSources:
    return LoadedSources((), Fingerprint("a", newest), started=100, ended=200)


@pytest.mark.parametrize(
    ("newest", "digest_now", "is_stale"),
    [(99, "a", False), (100, "a", True), (200, "a", True), (201, "a", False), (99, "b", True)],
)
def test_sources_are_stale_once_they_differ_or_if_they_changed_while_loading(
    newest: int, digest_now: str, *, is_stale: bool
) -> None:
    assert loaded(newest).is_stale(Fingerprint(digest_now, newest)) is is_stale
