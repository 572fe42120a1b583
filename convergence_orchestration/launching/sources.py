"""Has the code changed since a zygote imported it? Answered from the files themselves, at every launch.

Watched are all source files of the packages that the code location imported from outside the Python installation, the
installation's package directories (a newly installed version changes their time), and `.env`.
"""

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType

_SUFFIXES = frozenset(
    {
        ".py",
        ".so",
        ".sql",
        ".yaml",
        ".yml",
        ".json",
        ".toml",
        ".graphql",
        ".txt",
        ".j2",
        ".cfg",
        ".ini",
        ".env",
    }
)
_MOST_FILES = 20_000
"""Beyond as many a tree is no source tree; looking at them takes about 0.1 s."""


@dataclass(frozen=True)
class Fingerprint:
    """The state of some files: equal digests, equal files; `newest` is the latest change, ns since the epoch."""

    digest: str
    newest: int


@dataclass(frozen=True)
class LoadedSources:
    """What a zygote imported, and when: from `started` until `ended`, in ns since the epoch."""

    roots: tuple[str, ...]
    fingerprint: Fingerprint
    started: int
    ended: int

    def is_stale(self, now: Fingerprint) -> bool:
        """Whether the files are no longer those that were imported, or changed while they were."""
        changed_while_loading = self.started <= self.fingerprint.newest <= self.ended
        return changed_while_loading or now.digest != self.fingerprint.digest


def roots_of(modules: Mapping[str, ModuleType], also: Iterable[Path] = ()) -> tuple[str, ...]:
    """The files and package directories behind the modules that do not belong to the Python installation."""
    installed = _installation()
    roots = {str(path) for path in (*also, *(Path(place) for place in installed if "packages" in place))}
    for name, module in list(modules.items()):
        file = getattr(module, "__file__", None)
        if (
            isinstance(file, str)
            and file
            and not any(Path(file).is_relative_to(place) for place in installed)
        ):
            roots.add(str(_root(name, module, Path(file))))
    return tuple(sorted(roots))


def fingerprint(roots: Iterable[str]) -> Fingerprint:
    """The state of these files and of every source file below these directories now."""
    digest, newest, count = sha256(), 0, 0
    for root in roots:
        for path, changed, size in _files(Path(root)):
            digest.update(f"{path}\0{changed}\0{size}\n".encode(errors="surrogateescape"))
            newest = max(newest, changed)
            count += 1
            if count >= _MOST_FILES:
                return Fingerprint(digest.hexdigest(), newest)
    return Fingerprint(digest.hexdigest(), newest)


def _root(name: str, module: ModuleType, file: Path) -> Path:
    """The directory of the outermost package that a module belongs to, or its file if it belongs to none."""
    package = (
        module.__package__
        if name == "__main__"
        else name
        if hasattr(module, "__path__")
        else name.rpartition(".")[0]
    )
    depth = len(package.split(".")) if package else 0
    directory = file.parent
    for _ in range(depth - 1):
        directory = directory.parent
    return directory if depth else file


def _files(root: Path) -> Iterator[tuple[str, int, int]]:
    """Path, time of change in ns and size of a file, or of each source file below a directory, in a stable order."""
    try:
        found = root.stat()
    except OSError:
        return
    if not root.is_dir() or _is_of_the_installation(root):
        yield str(root), found.st_mtime_ns, found.st_size
        return
    for directory, directories, names in root.walk():
        directories[:] = sorted(name for name in directories if not name.startswith((".", "__pycache__")))
        for name in sorted(names):
            path = directory / name
            if path.suffix in _SUFFIXES and path.exists():
                status = path.stat()
                yield str(path), status.st_mtime_ns, status.st_size


def _is_of_the_installation(root: Path) -> bool:
    return str(root) in _installation()


def _installation() -> frozenset[str]:
    paths = sysconfig.get_paths()
    standard = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return frozenset(standard | {str(Path(sys.base_prefix) / "lib")})
