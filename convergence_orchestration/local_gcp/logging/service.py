"""google.logging.v2.LoggingServiceV2, as far as it reads: ListLogEntries.

What belongs here: check, look up, answer. Following is asking again, as it may be with the real service.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from google.cloud.logging_v2 import types
from google.cloud.run_v2 import Revision

from convergence_orchestration.local_gcp.fields import name_pattern, require_name
from convergence_orchestration.local_gcp.logging.entries import Entry, message_of
from convergence_orchestration.local_gcp.logging.files import LogFile, entries_back
from convergence_orchestration.local_gcp.logging.filters import Filter, parse
from convergence_orchestration.local_gcp.logging.sources import Sources
from convergence_orchestration.local_gcp.refusals import invalid
from convergence_orchestration.local_gcp.rpc import Call, Service, rpc

_PROJECT = name_pattern("projects/{project}")
_DEFAULT_SIZE = 50
_MOST = 1000
_NEWEST_FIRST = "timestamp desc"
_ORDERS = frozenset({"", "timestamp asc", _NEWEST_FIRST})

type Place = tuple[datetime, str]


class _NoRest:
    """The official client has no REST transport to take rules from."""


class Logging(Service):
    """The entries of this machine's log files; they belong to whatever project is asked for."""

    full_name = "google.logging.v2.LoggingServiceV2"
    host = "logging.googleapis.com"
    http_rules = _NoRest

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @rpc(writes=False)
    def list_log_entries(
        self, request: types.ListLogEntriesRequest, call: Call
    ) -> types.ListLogEntriesResponse:
        """A page of the entries that the filter fits."""
        project = _project(request)
        if request.order_by not in _ORDERS:
            invalid(f"Unsupported order_by: {request.order_by}")
        if request.page_size < 0:
            invalid("page_size must not be negative.")
        wanted, size = parse(request.filter), min(request.page_size or _DEFAULT_SIZE, _MOST)
        files = self._sources.found(call.rows.of_kind(Revision))
        is_newest_first = request.order_by == _NEWEST_FIRST
        search = _newest if is_newest_first else _oldest
        found = search(files, wanted, place_of(request.page_token), size + 1)
        token = token_of(found[size - 1].order) if len(found) > size else ""
        entries = [message_of(entry, project) for entry in found[:size]]
        return types.ListLogEntriesResponse(entries=entries, next_page_token=token)


def token_of(place: Place) -> str:
    """The token of the page behind an entry."""
    return base64.urlsafe_b64encode(json.dumps([place[0].isoformat(), place[1]]).encode()).decode()


def place_of(token: str) -> Place | None:
    """The entry that a page begins behind; None for the first page.

    Raises:
        Refusal: INVALID_ARGUMENT, no list gave this token.
    """
    if not token:
        return None
    try:
        at, insert_id = json.loads(base64.urlsafe_b64decode(token))
        return datetime.fromisoformat(at), str(insert_id)
    except (binascii.Error, ValueError, TypeError):
        invalid("page_token is invalid.")


def _project(request: types.ListLogEntriesRequest) -> str:
    if len(request.resource_names) != 1:
        invalid("Exactly one project must be named in resource_names.")
    return str(require_name(_PROJECT, request.resource_names[0], "resource_names")["project"])


def _newest(files: Iterable[LogFile], wanted: Filter, behind: Place | None, size: int) -> list[Entry]:
    """The newest of all are among the newest of each file."""
    found = [
        entry
        for file in files
        for entry in islice(
            (one for one in _fitting(file, wanted) if behind is None or one.order < behind), size
        )
    ]
    return sorted(found, key=lambda entry: entry.order, reverse=True)[:size]


def _oldest(files: Iterable[LogFile], wanted: Filter, behind: Place | None, size: int) -> list[Entry]:
    found = [
        entry for file in files for entry in _fitting(file, wanted) if behind is None or entry.order > behind
    ]
    return sorted(found, key=lambda entry: entry.order)[:size]


def _fitting(file: LogFile, wanted: Filter) -> Iterator[Entry]:
    return (entry for entry in entries_back(file, wanted.since) if wanted.fits(entry))
