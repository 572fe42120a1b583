"""Many tenants sent to the API in batches, one after the other, and what became of each row.

What belongs here: the order of an import: send, wait until it has settled, send the next, wait for the rest. The file is
read by `csv_rows.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import batched
from typing import TYPE_CHECKING, Any

from convergence_orchestration.cli.batch_following import (
    PASSING_CODES,
    BatchStatus,
    Watch,
    failures,
    status_of,
)
from convergence_orchestration.cli.batch_progress import Display, Tally
from convergence_orchestration.cli.csv_rows import Row, RowProblem
from convergence_orchestration.cli.reporting import tell
from convergence_orchestration.cli.showing import what_is_next
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.tenancy.asked import to_json

if TYPE_CHECKING:
    from convergence_orchestration.cli.api_calls import ApiCalls

MOST_IN_A_BATCH = 1000
_PLACE = re.compile(r"tenants\.(\d+)(\..*)?")
_SEEN_SOON = PASSING_CODES | {ErrorCode.NOT_FOUND}
"""A batch that has just been written down may not be found at once: BigQuery shows appended rows after a moment."""


@dataclass
class Batch:
    """A batch that was sent; `batch_id` is None if none of its rows was accepted."""

    rows: Sequence[Row]
    batch_id: str | None
    accepted: int
    refused: list[RowProblem]
    status: BatchStatus | None = None

    @property
    def is_settled(self) -> bool:
        """Nothing of it is waiting or being worked on now."""
        return self.batch_id is None or (self.status is not None and self.status.is_settled)

    @property
    def is_finished(self) -> bool:
        """Nothing happens to it any more by itself."""
        return self.batch_id is None or (self.status is not None and self.status.is_finished)

    def count(self, state: str) -> int:
        """How many of its requests are in a state, as far as is known."""
        return self.status.count(state) if self.status else 0


@dataclass
class Sending:
    """An import on its way: what was sent until now stands in `sent`, also when it is cut off.

    Attributes:
        seconds: how long to wait for tenants altogether; all rows are sent whatever it is. None: until all have ended.
    """

    calls: "ApiCalls"
    rows: Sequence[Row]
    display: Display
    watch: Watch = field(default_factory=Watch)
    seconds: float | None = None
    sent: list[Batch] = field(default_factory=list)

    def perform(self) -> None:
        """Send all rows, and wait for them.

        Raises:
            ConvergenceError: the API refused a batch as a whole, or cannot be reached; sending the same rows again goes on.
        """
        began = self.watch.clock()
        key = import_key(self.rows)
        for number, rows in enumerate(batched(self.rows, MOST_IN_A_BATCH, strict=False), start=1):
            self.sent.append(self._send(rows, f"{key}-{number}"))
            self._wait(began, for_retries=False)
        if any(batch.is_settled and not batch.is_finished for batch in self.sent):
            tell("All that is left has failed for now and is tried again by itself.")
        self._wait(began, for_retries=True)

    @property
    def tally(self) -> Tally:
        """All rows, also those which have not been sent yet."""
        refused = sum(len(batch.refused) for batch in self.sent)
        failed = sum(batch.count("FAILED") for batch in self.sent)
        return Tally(len(self.rows), sum(batch.count("DONE") for batch in self.sent), failed + refused)

    @property
    def batch_ids(self) -> list[str]:
        """The batches that the API has accepted."""
        return [batch.batch_id for batch in self.sent if batch.batch_id is not None]

    @property
    def unsent(self) -> int:
        """How many rows the API has not accepted or refused yet."""
        return len(self.rows) - sum(len(batch.rows) for batch in self.sent)

    def problems(self) -> list[RowProblem]:
        """Every row that was refused or has failed until now, by its line."""
        found = [problem for batch in self.sent for problem in (*batch.refused, *self._failed(batch))]
        return sorted(found, key=lambda problem: problem.line)

    def _send(self, rows: Sequence[Row], key: str) -> Batch:
        body = {
            "tenants": [{name: value for name, value in asdict(row.tenant).items() if value} for row in rows]
        }
        # who has sent nothing yet learns at once that the API is away; later on it may be restarting
        passing = PASSING_CODES if self.sent else {ErrorCode.RATE_LIMITED}
        try:
            answer = self.watch.patiently(
                lambda: self.calls.post("/admin/tenants:batch", body, key), passing
            ).body
        except PermanentError as error:
            return Batch(rows, None, 0, _all_refused(error, rows))
        refused = [_refused(rows, each["index"], each["message"], each["code"]) for each in answer["refused"]]
        return Batch(rows, answer["batch_id"], answer["accepted"], refused)

    def _wait(self, began: float, *, for_retries: bool) -> None:
        """Until every batch has settled, or with `for_retries` until nothing is tried again by itself."""
        while True:
            for batch in self.sent:
                self._look_at(batch)
            self.display(self.tally)
            is_over = self.seconds is not None and self.watch.clock() - began >= self.seconds
            ended = all(batch.is_finished if for_retries else batch.is_settled for batch in self.sent)
            if is_over or ended:
                return
            self.watch.pause(began)

    def _look_at(self, batch: Batch) -> None:
        batch_id = batch.batch_id
        if batch_id is None or batch.is_finished:
            return
        batch.status = self.watch.patiently(
            lambda: status_of(self.calls, batch_id, batch.accepted), _SEEN_SOON
        )

    def _failed(self, batch: Batch) -> list[RowProblem]:
        if batch.status is None or not batch.count("FAILED"):
            return []
        lines: dict[str, int] = {row.tenant.tenant_id: row.line for row in batch.rows}
        return [_failure(each, lines) for each in failures(self.calls, batch.status)]


def import_key(rows: Sequence[Row]) -> str:
    """The Idempotency-Key of these tenants in this order, to which each batch adds its number."""
    text = "\n".join(to_json(row.tenant) for row in rows)
    return f"tenant-import-{sha256(text.encode()).hexdigest()[:32]}"


def _all_refused(error: PermanentError, rows: Sequence[Row]) -> list[RowProblem]:
    """The rows' problems, if the batch was refused because no row could be accepted; any other refusal is raised."""
    messages: dict[int, str] = {}
    fields = error.details.get("fields")
    for each in fields if isinstance(fields, list) else []:
        if place := _PLACE.fullmatch(each["field"]):
            messages[int(place[1])] = each["message"]
    if set(messages) != set(range(len(rows))):
        raise error
    return [_refused(rows, index, message, "") for index, message in sorted(messages.items())]


def _refused(rows: Sequence[Row], index: int, message: str, code: str) -> RowProblem:
    return RowProblem(rows[index].line, rows[index].tenant.tenant_id, message, code)


def _failure(failed: Mapping[str, Any], lines: Mapping[str, int]) -> RowProblem:
    tenant_id = str(failed["tenant_id"])
    message = f"{failed['reason'] or 'It failed.'} Next: {what_is_next(failed['next'])}"
    return RowProblem(lines.get(tenant_id, 0), tenant_id, message, failed["error_code"] or "")
