"""Cloud Build: from sources to an image.

What belongs here: asking for one build and waiting for it, so that asking again for the same one makes no second. What is
built and why is the business of `releases`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from google.cloud.devtools.cloudbuild_v1 import Build, CloudBuildClient, Source, StorageSource

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.deadlines import TOTAL_SECONDS, each_attempt, repeatable
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.translate import Service, translated

TREE: Final = "file://"
_BUCKET: Final = "gs://"
_LOOK_SECONDS: Final = 0.25
_RECENT: Final = 200
_LONGEST_TAIL: Final = 2000
_Status: Any = Build.Status
_WORKING: Final = (_Status.PENDING, _Status.QUEUED, _Status.WORKING)


@dataclass(frozen=True)
class Wanted:
    """One build.

    Attributes:
        key: the same for the same build, whoever asks how often; letters, digits, `_`, `-` and `.`.
        source: `gs://BUCKET/OBJECT.tar.gz`; or `file:///TREE`, which only a Cloud Build on this machine can read.
        image: with its tag.
        timeout: of the build itself.
    """

    key: str
    source: str
    image: str
    timeout: timedelta = timedelta(minutes=20)


@dataclass(frozen=True)
class BuiltImage:
    """What a build made: `reference` is by digest and never means anything else."""

    reference: str
    build_id: str
    log_url: str


class CloudBuild:
    """Cloud Build of one project and region. Every method raises the errors of `translate.py`."""

    def __init__(
        self,
        client: CloudBuildClient,
        project: str,
        region: str,
        *,
        total_seconds: float = TOTAL_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.client = client
        self._parent = f"projects/{project}/locations/{region}"
        self._total_seconds = total_seconds
        self._pause = pause
        self._translated = partial(
            translated,
            service=Service("Cloud Build", str(client.transport.host), project),
            grant=project_grant(project, "roles/cloudbuild.builds.editor"),
        )

    def ensure_image(self, wanted: Wanted) -> BuiltImage:
        """The image of a build that is done, under way, or begun by this call.

        Raises:
            PermanentError: INVALID_ARGUMENT for a source of another form; FAILED_PRECONDITION for a build that failed, with the
                end of its log.
            TransientError: DEADLINE_EXCEEDED if it has not ended a minute behind its own timeout.
        """
        source = _source(wanted.source)
        begun = self._find(wanted) or self._begin(wanted, source)
        return _image_of(self._ended(begun, wanted), wanted)

    def close(self) -> None:
        """Close the client."""
        self.client.transport.close()  # type: ignore[no-untyped-call]

    def _find(self, wanted: Wanted) -> Build | None:
        """The newest build of this key that has not failed, among the latest ones, which come first."""
        with self._translated(f"looking for the build of {wanted.image}"):
            pages = self.client.list_builds(
                request={"parent": self._parent, "page_size": _RECENT},
                retry=repeatable(self._total_seconds),
                timeout=each_attempt(),
            )
            found = [build for build in islice(pages, _RECENT) if wanted.key in build.tags]
        usable = (build for build in found if build.status in (*_WORKING, _Status.SUCCESS))
        return next(usable, None)

    def _begin(self, wanted: Wanted, source: Source) -> Build:
        build = Build(
            source=source,
            steps=[{"name": "gcr.io/cloud-builders/docker", "args": ["build", "-t", wanted.image, "."]}],
            images=[wanted.image],
            tags=[wanted.key],
            timeout=wanted.timeout,
        )
        with self._translated(f"asking for the build of {wanted.image}"):
            # not repeated: a second request is a second build; the next try of the caller finds the first by its tag
            operation = self.client.create_build(
                request={"parent": self._parent, "build": build}, retry=None, timeout=each_attempt()
            )
        begun: Build = operation.metadata.build
        return begun

    def _ended(self, build: Build, wanted: Wanted) -> Build:
        waited, patience = 0.0, wanted.timeout.total_seconds() + 60
        while build.status in _WORKING:
            if waited >= patience:
                raise TransientError(
                    ErrorCode.DEADLINE_EXCEEDED,
                    f"Look at build {build.id}, which does not end: {build.log_url}",
                )
            self._pause(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
            with self._translated(f"looking at build {build.id}"):
                build = self.client.get_build(
                    request={"name": build.name},
                    retry=repeatable(self._total_seconds),
                    timeout=each_attempt(),
                )
        return build


def _source(text: str) -> Source:
    bucket, _, path = text.removeprefix(_BUCKET).partition("/")
    if text.startswith(_BUCKET) and bucket and path:
        return Source(storage_source=StorageSource(bucket=bucket, object_=path))
    if text.startswith(f"{TREE}/"):
        return Source(storage_source=StorageSource(bucket="local", object_=text))
    raise PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        "Name the sources as gs://BUCKET/OBJECT.tar.gz or, on this machine, file:///ABSOLUTE/PATH of a tree.",
        {"field": "source"},
    )


def _image_of(build: Build, wanted: Wanted) -> BuiltImage:
    if build.status == _Status.SUCCESS and build.results.images:
        repository = repository_of(wanted.image)
        return BuiltImage(f"{repository}@{build.results.images[0].digest}", build.id, build.log_url)
    tail = (build.status_detail or build.failure_info.detail)[-_LONGEST_TAIL:]
    raise PermanentError(
        ErrorCode.FAILED_PRECONDITION,
        f"Mend the sources and release again: build {build.id} ended with {build.status.name}. {tail}",
        {"build": build.id, "log": build.log_url, "source": wanted.source},
    )


def repository_of(image: str) -> str:
    """An image's name without tag and digest."""
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
