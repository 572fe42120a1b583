"""The source of a build: one moment's copy of a tree or of an archive.

What belongs here: getting it, and reading from it what cannot be taken from a wheel: the command in its Dockerfile.
"""

import json
import re
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

from google.cloud.devtools.cloudbuild_v1 import Build

FILE = "file://"
_NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".convergence", "node_modules", "dist", ".coverage*"
)
_INSTRUCTION = re.compile(r"\s*(FROM|CMD|ENTRYPOINT)\s+(.*)", re.IGNORECASE)


class BrokenSourceError(Exception):
    """The source cannot be built; the message is for the build's log."""


def fetch(build: Build, data_dir: Path, into: Path) -> None:
    """Copy what the build is of into the directory `into`, which does not exist yet.

    Raises:
        BrokenSourceError: there is no such tree or archive, or it cannot be unpacked.
    """
    source = build.source.storage_source
    is_tree = source.object_.startswith(FILE)
    path = (
        Path(source.object_.removeprefix(FILE))
        if is_tree
        else data_dir / "buckets" / source.bucket / source.object_
    )
    try:
        if is_tree:
            shutil.copytree(path, into, ignore=_NOT_SOURCE, symlinks=True)
        else:
            into.mkdir()
            _unpack(path, into)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise BrokenSourceError(f"The source {source.object_} cannot be read: {error}") from error


def command_of(build: Build, tree: Path) -> tuple[str, ...]:
    """What starts the image: ENTRYPOINT and CMD of the Dockerfile that a step names with -f, or of `Dockerfile`.

    Raises:
        BrokenSourceError: a step names a Dockerfile that is not there.
    """
    named = _named_dockerfile(build)
    path = tree / (named or "Dockerfile")
    if path.is_file() and path.resolve().is_relative_to(tree.resolve()):
        return dockerfile_command(path.read_text(encoding="utf-8"))
    if named:
        raise BrokenSourceError(f"unable to prepare context: unable to evaluate Dockerfile {named}")
    return ()


def dockerfile_command(text: str) -> tuple[str, ...]:
    """ENTRYPOINT and CMD of a Dockerfile's last stage; () if it has neither."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        match = _INSTRUCTION.match(line)
        if match is None:
            continue
        word, value = match[1].upper(), match[2].strip()
        if word == "FROM":
            found.clear()
        else:
            found[word] = _words(value)
    return (*found.get("ENTRYPOINT", ()), *found.get("CMD", ()))


def _words(value: str) -> tuple[str, ...]:
    try:
        words = json.loads(value)
    except ValueError:
        return ("/bin/sh", "-c", value)
    return tuple(str(word) for word in words) if isinstance(words, list) else ("/bin/sh", "-c", value)


def _named_dockerfile(build: Build) -> str:
    for step in build.steps:
        words = [word for argument in step.args for word in _split(argument)]
        for number, word in enumerate(words):
            if word in {"-f", "--file"} and number + 1 < len(words):
                return words[number + 1]
            if word.startswith("--file="):
                return word.removeprefix("--file=")
    return ""


def _split(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError:
        return [argument]


def _unpack(path: Path, into: Path) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(into)  # noqa: S202 zipfile keeps members inside
    else:
        with tarfile.open(path) as archive:
            archive.extractall(into, filter="data")
