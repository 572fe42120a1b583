"""The registry of images: what Cloud Build makes and Cloud Run runs.

What belongs here: the directory of content-addressed images (`DATA_DIR/images/sha256/DIGEST`, an unpacked wheel in `root/`
beside `manifest.json`), references to them, and tags in the store. Making one is `cloud_build`'s business.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from google.cloud.devtools.cloudbuild_v1 import BuiltImage

from convergence_orchestration.local_gcp.store import Rows

_ALGORITHM = "sha256:"
_MANIFEST = "manifest.json"
_TAGS = "images/tags"
UNFINISHED = "unfinished-"
"""How directories begin that are no image, or none any more; who builds removes them at its start."""


@dataclass(frozen=True)
class Manifest:
    """What is known of an image besides its files.

    Attributes:
        digest: `sha256:...` of the files and the command.
        command: what starts it, as its Dockerfile says; empty if that says nothing.
        created: RFC 3339, when these files were made first.
        source_revision: the revision of the source that the first build of it named, or "".
    """

    digest: str
    command: tuple[str, ...]
    created: str
    source_revision: str


def repository_of(reference: str) -> str:
    """A reference without its tag or digest."""
    without_digest = reference.partition("@")[0]
    head, separator, last = without_digest.rpartition("/")
    return f"{head}{separator}{last.partition(':')[0]}"


def with_digest(reference: str, digest: str) -> str:
    """The reference that never changes: `us-central1-docker.pkg.dev/p/r/api@sha256:...`."""
    return f"{repository_of(reference)}@{digest}"


def directory_of(data_dir: Path, digest: str) -> Path:
    """Where the image of this digest is kept, if it is."""
    return data_dir / "images" / "sha256" / digest.removeprefix(_ALGORITHM)


def root_of(data_dir: Path, digest: str) -> Path:
    """The image's files."""
    return directory_of(data_dir, digest) / "root"


def read_manifest(data_dir: Path, digest: str) -> Manifest | None:
    """What is known of an image; None if there is none of this digest."""
    try:
        content = json.loads((directory_of(data_dir, digest) / _MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        return None
    return Manifest(**{**content, "command": tuple(content["command"])})


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest into an image that is being made."""
    (directory / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def newest_first(data_dir: Path) -> list[str]:
    """The digests of all images, the one that was built last (again) first."""
    found = [path for path in (data_dir / "images" / "sha256").glob("*") if path.is_dir()]
    return [
        f"{_ALGORITHM}{path.name}"
        for path in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True)
    ]


def built_again(data_dir: Path, digest: str) -> None:
    """Have an image that is there already be the newest."""
    os.utime(directory_of(data_dir, digest))


def set_aside(data_dir: Path, digest: str) -> Path:
    """Take an image out of the registry at one stroke; where its files are now, to be removed."""
    aside = data_dir / "images" / f"{UNFINISHED}{digest.removeprefix(_ALGORITHM)}"
    directory_of(data_dir, digest).rename(aside)
    return aside


def tag(rows: Rows, reference: str, digest: str) -> BuiltImage:
    """Have the reference mean this image from now on."""
    key = _tagged(reference)
    image = BuiltImage(name=key, digest=digest)
    if rows.get(BuiltImage, key) is None:
        rows.insert(key, _TAGS, image)
    else:
        rows.update(key, image)
    return image


def digest_of(rows: Rows, data_dir: Path, reference: str) -> str | None:
    """The digest that a reference, with a tag or a digest, means now; None if there is no such image."""
    _, separator, digest = reference.partition("@")
    if not separator:
        found = rows.get(BuiltImage, _tagged(reference))
        digest = found.digest if found else ""
    is_known = digest.startswith(_ALGORITHM) and read_manifest(data_dir, digest) is not None
    return digest if is_known else None


def _tagged(reference: str) -> str:
    last = reference.rpartition("/")[2]
    return reference if ":" in last else f"{reference}:latest"
