"""From a tree of sources to an image's files.

What belongs here: hatchling as a child process without a network, unpacking, and the digest. The same sources give the same
digest: times are fixed, and only names, contents and the command count.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

_EPOCH = "315532800"  # 1980, the first moment that a zip file can hold


class BuildFailedError(Exception):
    """The build's own program said no; its words are in the log."""


class BuildTimeoutError(Exception):
    """The build took longer than it may."""


def build_wheel(tree: Path, into: Path, log: Path, timeout_seconds: float) -> None:
    """Build the tree's wheel, unpack it into the directory `into`, and compile it.

    Raises:
        BuildFailedError: hatchling refuses the tree.
        BuildTimeoutError: it took too long and was ended.
    """
    wheels = tree.with_name("wheels")
    hatchling = ["-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    _run(hatchling, tree, log, timeout_seconds)
    built = list(wheels.glob("*.whl"))
    if len(built) != 1:
        raise BuildFailedError("hatchling made no wheel")
    into.mkdir()
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(into)
    _run(["-m", "compileall", "-q", str(into)], tree, log, timeout_seconds)


def digest_of(root: Path, command: Sequence[str]) -> str:
    """`sha256:...` of the files' names and contents, without compiled ones, and of the command."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    listing = [
        [path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for path in files
    ]
    content = json.dumps({"command": list(command), "files": listing}, sort_keys=True)
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def _run(arguments: list[str], tree: Path, log: Path, timeout_seconds: float) -> None:
    environment = {
        "HOME": str(tree),
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "SOURCE_DATE_EPOCH": _EPOCH,
    }
    with log.open("ab") as output:
        try:
            ended = subprocess.run(  # noqa: S603 our interpreter, fixed arguments
                [sys.executable, *arguments],
                cwd=tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BuildTimeoutError from None
    if ended.returncode:
        raise BuildFailedError(f"{arguments[1]} ended with status {ended.returncode}")
