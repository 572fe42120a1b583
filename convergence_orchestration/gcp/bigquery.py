"""BigQuery as this project uses it: typed, with deadlines, and safe to repeat.

What belongs here: one method for each call we make. What does not: which datasets and tables there are (`warehouse`)
and what is in them (the stores of the domains).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import batched
from typing import Final

from google.api_core.exceptions import Conflict, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY, ArrayQueryParameter, ScalarQueryParameter
from google.cloud.bigquery.enums import WriteDisposition
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.deadlines import ATTEMPT_SECONDS, JOB_SECONDS, TOTAL_SECONDS
from convergence_orchestration.gcp.grants import project_grant
from convergence_orchestration.gcp.jobs_once import run_once
from convergence_orchestration.gcp.rows import as_json
from convergence_orchestration.gcp.sql import select_all, select_count
from convergence_orchestration.gcp.translate import Service, translated

Parameters = Sequence[ScalarQueryParameter | ArrayQueryParameter]

_ROWS_AT_ONCE: Final = 500  # Google's advice for insertAll; far below its 10 MB
_ROWS_A_PAGE: Final = 100_000  # a page ends at 10 MB in any case
_ERRORS_SHOWN: Final = 5
_ANSWERS_A_PAGE: Final = 10_000

_PROJECT_ACCESS: Final = (  # what BigQuery gives a dataset that is created without a list
    bigquery.AccessEntry("OWNER", "specialGroup", "projectOwners"),
    bigquery.AccessEntry("WRITER", "specialGroup", "projectWriters"),
    bigquery.AccessEntry("READER", "specialGroup", "projectReaders"),
)
_ACCESS_KINDS: Final = {"user": "userByEmail", "serviceAccount": "userByEmail", "group": "groupByEmail"}


def access_entry(principal: str) -> bigquery.AccessEntry:
    """The right to read and write for `user:...`, `serviceAccount:...` or `group:...`."""
    kind, _, email = principal.partition(":")
    return bigquery.AccessEntry("WRITER", _ACCESS_KINDS[kind], email)


class BigQuery:
    """One project's datasets, tables, queries and appends in one location.

    Every method raises the errors of `translate.py`; TransientError once the deadline is over.

    Attributes:
        client: Google's client, for what this class does not offer.
        project: the project asked for.
        location: where its datasets are.
    """

    def __init__(
        self,
        client: bigquery.Client,
        total_seconds: float = TOTAL_SECONDS,
        job_seconds: float = JOB_SECONDS,
    ) -> None:
        self.client = client
        self.project: str = client.project
        self.location: str = client.location or "US"
        self._api = str(client._connection.API_BASE_URL)  # noqa: SLF001 nothing public names the host
        self._service = Service("BigQuery", self._api, self.project)
        self._grant = project_grant(self.project, "roles/bigquery.admin")
        self._job_seconds = job_seconds
        self._retry = DEFAULT_RETRY.with_delay(initial=0.2, maximum=5.0).with_timeout(total_seconds)
        # local-bigquery refuses a request that is repeated because its answer came too late or never; reading anew is harmless
        self._anew = Retry(
            predicate=if_exception_type(Conflict), initial=0.2, maximum=2.0, timeout=total_seconds
        )
        self._translated = partial(translated, service=self._service, grant=self._grant)

    # datasets

    def create_dataset(
        self, dataset_id: str, *, description: str, labels: Mapping[str, str], writer: str = ""
    ) -> bool:
        """Create a dataset, atomically: True if this call made it, False if it was there.

        A repeated request whose first answer was lost says False too: who must know reads the labels.
        `writer` may read and write it besides those whom the project lets, for example `user:ana@example.com`.
        """
        dataset = bigquery.Dataset(f"{self.project}.{dataset_id}")
        dataset.location = self.location
        dataset.description = description
        dataset.labels = dict(labels)
        if writer:
            dataset.access_entries = [*_PROJECT_ACCESS, access_entry(writer)]
        with self._translated(f"creating dataset {dataset_id}"):
            try:
                self.client.create_dataset(dataset, retry=self._retry, timeout=ATTEMPT_SECONDS)
            except Conflict:
                return False
        return True

    def get_dataset(self, dataset_id: str) -> bigquery.Dataset | None:
        """The dataset as it is now, or None if there is none."""
        with self._translated(f"reading dataset {dataset_id}"):
            try:
                return self.client.get_dataset(dataset_id, retry=self._retry, timeout=ATTEMPT_SECONDS)
            except NotFound:
                return None

    def grant_writer(self, dataset: bigquery.Dataset, writer: str) -> bool:
        """Let `writer` read and write the dataset; True if it could not until now. Nobody else's access changes.

        Raises:
            PermanentError: FAILED_PRECONDITION if somebody changed the dataset since it was read.
        """
        entry = access_entry(writer)
        entries = list(dataset.access_entries)
        if entry in entries:
            return False
        dataset.access_entries = [*entries, entry]
        with self._translated(f"granting access to dataset {dataset.dataset_id}"):
            self.client.update_dataset(
                dataset, ["access_entries"], retry=self._retry, timeout=ATTEMPT_SECONDS
            )
        return True

    def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset with everything in it; one that is not there is deleted already."""
        with self._translated(f"deleting dataset {dataset_id}"):
            self.client.delete_dataset(
                dataset_id,
                delete_contents=True,
                not_found_ok=True,
                retry=self._retry,
                timeout=TOTAL_SECONDS,
            )

    # tables and views

    def create_table(self, table: bigquery.Table) -> bool:
        """Create a table or view: True if this call made it, False if something of that name was there."""
        with self._translated(f"creating table {table.dataset_id}.{table.table_id}"):
            try:
                self.client.create_table(table, retry=self._retry, timeout=ATTEMPT_SECONDS)
            except Conflict:
                return False
        return True

    def get_table(self, dataset_id: str, table_id: str) -> bigquery.Table | None:
        """The table or view with its schema and row count, or None if there is none."""
        with self._translated(f"reading table {dataset_id}.{table_id}"):
            try:
                return self.client.get_table(
                    f"{dataset_id}.{table_id}", retry=self._retry, timeout=ATTEMPT_SECONDS
                )
            except NotFound:
                return None

    def delete_table(self, dataset_id: str, table_id: str) -> None:
        """Delete a table or view; one that is not there is deleted already."""
        with self._translated(f"deleting table {dataset_id}.{table_id}"):
            self.client.delete_table(
                f"{dataset_id}.{table_id}", not_found_ok=True, retry=self._retry, timeout=ATTEMPT_SECONDS
            )

    def list_tables(self, dataset_id: str) -> list[str]:
        """Names of the dataset's tables and views, sorted."""
        with self._translated(f"listing tables of {dataset_id}"):
            listed = self.client.list_tables(dataset_id, retry=self._retry, timeout=ATTEMPT_SECONDS)
            return sorted(item.table_id for item in listed)

    def count_rows(self, dataset_id: str, table_id: str) -> int:
        """Rows of a table, those that were streamed a moment ago included (table metadata leaves them out)."""
        rows = self.query(select_count(self.project, dataset_id, table_id))
        return int(rows[0]["row_count"])

    # rows

    def list_rows(
        self, dataset_id: str, table_id: str, columns: Sequence[bigquery.SchemaField]
    ) -> list[bigquery.Row]:
        """Every row of a table with these columns alone, by tabledata.list, which costs nothing."""
        table = bigquery.TableReference.from_string(f"{self.project}.{dataset_id}.{table_id}")
        with self._translated(f"listing the rows of {dataset_id}.{table_id}"):
            return list(
                self.client.list_rows(
                    table,
                    selected_fields=columns,
                    page_size=_ROWS_A_PAGE,
                    retry=self._retry,
                    timeout=TOTAL_SECONDS,
                )
            )

    def query(self, sql: str, params: Parameters = ()) -> list[bigquery.Row]:
        """The rows of a reading statement."""
        return self._rows(sql, self._config(params))

    def query_in(self, dataset_id: str, sql: str, params: Parameters = ()) -> list[bigquery.Row]:
        """The rows of a reading statement, in which a table without a dataset in its name is one of `dataset_id`."""
        return self._rows(sql, self._config(params, dataset_id))

    def _rows(self, sql: str, config: bigquery.QueryJobConfig) -> list[bigquery.Row]:
        with self._translated("querying"):
            return list(self._asked(sql, config))

    def _asked(
        self, sql: str, config: bigquery.QueryJobConfig, page_size: int | None = None
    ) -> Iterable[bigquery.Row]:
        return self._anew(
            self.client.query_and_wait
        )(
            sql,
            job_config=config,
            page_size=page_size,
            api_timeout=TOTAL_SECONDS,  # BigQuery answers after 10 s that it goes on; local-bigquery when it is done
            wait_timeout=self._job_seconds,
            retry=self._retry,
            job_retry=DEFAULT_JOB_RETRY.with_timeout(self._job_seconds),
        )

    def stream(
        self, sql: str, params: Parameters = (), page_size: int = _ANSWERS_A_PAGE
    ) -> Iterator[bigquery.Row]:
        """The rows of a reading statement, page by page: never more than a page of them in memory.

        A page that cannot be read raises; rows that were given out before it are not the whole answer then.
        """
        with self._translated("querying"):
            yield from self._asked(sql, self._config(params), page_size)

    def execute(self, sql: str, params: Parameters = ()) -> int:
        """Run a changing statement exactly once, however often its request is repeated; rows affected (0 for DDL)."""
        return self._affected(sql, self._config(params), None)

    def execute_in(
        self, dataset_id: str, sql: str, params: Parameters = (), job_name: str | None = None
    ) -> int:
        """The same, where a table without a dataset in its name is one of `dataset_id`.

        A statement with a `job_name` runs once whoever runs it, see `jobs_once`; the answer is what its one run affected.
        """
        return self._affected(sql, self._config(params, dataset_id), job_name)

    def _affected(self, sql: str, config: bigquery.QueryJobConfig, job_name: str | None) -> int:
        with self._translated("running a statement"):
            job = run_once(self.client, partial(self._start_query, sql, config), self._retry, job_name)
        return int(job.num_dml_affected_rows or 0)

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Append rows by insertAll; a row's `event_id` makes a repeated append harmless for about a minute.

        Raises:
            PermanentError: INVALID_ARGUMENT if a row has no event_id or does not fit the table (none of its batch of
                500 is stored then); NOT_FOUND if there is no such table.
        """
        for batch in batched(rows, _ROWS_AT_ONCE, strict=False):
            self._append_batch(f"{dataset_id}.{table_id}", batch)

    def _append_batch(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        ids = [str(row.get("event_id") or "") for row in rows]
        if not all(ids):
            raise PermanentError(ErrorCode.INVALID_ARGUMENT, f"Give every row for {table} an event_id.")
        with self._translated(f"appending to {table}"):
            errors = self.client.insert_rows_json(
                f"{self.project}.{table}",
                [as_json(row) for row in rows],
                row_ids=ids,
                retry=self._retry,
                timeout=ATTEMPT_SECONDS,
            )
        if errors:
            raise _row_errors(table, errors)

    # copies

    def snapshot(self, source: str, destination: str, expires_at: datetime) -> None:
        """Snapshot a table by a copy job; both are `dataset.table`. Rows still in the streaming buffer stay out.

        Raises:
            PermanentError: ALREADY_EXISTS if the destination is there, NOT_FOUND if the source is not.
        """
        config = bigquery.CopyJobConfig(
            operation_type=bigquery.job.OperationType.SNAPSHOT,
            destination_expiration_time=expires_at.astimezone(UTC).isoformat(),
        )
        with self._translated(f"taking a snapshot of {source}"):
            run_once(self.client, partial(self._start_copy, source, destination, config), self._retry)
        self._expire(destination, expires_at)

    def copy_rows(self, source: str, destination: str, expires_at: datetime) -> None:
        """Copy every row by a query, the streaming buffer's included, into a new table `destination`."""
        config = bigquery.QueryJobConfig(
            destination=f"{self.project}.{destination}", write_disposition=WriteDisposition.WRITE_EMPTY
        )
        sql = select_all(self.project, *source.split("."))
        with self._translated(f"copying {source}"):
            run_once(self.client, partial(self._start_query, sql, config), self._retry)
        self._expire(destination, expires_at)

    def _config(self, params: Parameters, dataset_id: str | None = None) -> bigquery.QueryJobConfig:
        config = bigquery.QueryJobConfig(query_parameters=list(params))
        if dataset_id is not None:
            config.default_dataset = bigquery.DatasetReference(self.project, dataset_id)
        return config

    def _start_query(self, sql: str, config: bigquery.QueryJobConfig, job_id: str) -> bigquery.QueryJob:
        return self.client.query(
            sql, job_config=config, job_id=job_id, retry=self._retry, job_retry=None, timeout=TOTAL_SECONDS
        )

    def _start_copy(
        self, source: str, destination: str, config: bigquery.CopyJobConfig, job_id: str
    ) -> bigquery.CopyJob:
        return self.client.copy_table(
            f"{self.project}.{source}",
            f"{self.project}.{destination}",
            job_id=job_id,
            job_config=config,
            retry=self._retry,
            timeout=TOTAL_SECONDS,
        )

    def _expire(self, table: str, expires_at: datetime) -> None:
        """Set the expiration where the copy job did not (a query's destination, local-bigquery's snapshots)."""
        with self._translated(f"setting the expiration of {table}"):
            found = self.client.get_table(table, retry=self._retry, timeout=ATTEMPT_SECONDS)
            if found.expires is None:
                found.expires = expires_at
                self.client.update_table(found, ["expires"], retry=self._retry, timeout=ATTEMPT_SECONDS)

    # links

    def console_url(self, dataset_id: str, table_id: str | None = None) -> str:
        """Where a person sees the dataset or table: Google's console, or the emulator's answer about it."""
        if not self._api.endswith("googleapis.com"):
            path = f"/bigquery/v2/projects/{self.project}/datasets/{dataset_id}"
            return f"{self._api}{path}/tables/{table_id}" if table_id else f"{self._api}{path}"
        base = f"https://console.cloud.google.com/bigquery?project={self.project}"
        if table_id is None:
            return f"{base}&ws=!1m4!1m3!3m2!1s{self.project}!2s{dataset_id}"
        return f"{base}&ws=!1m5!1m4!4m3!1s{self.project}!2s{dataset_id}!3s{table_id}"


def _row_errors(table: str, errors: Sequence[Mapping[str, object]]) -> PermanentError:
    """What is wrong with which row, by column and reason; never the value itself."""
    rows = []
    for row in errors[:_ERRORS_SHOWN]:
        listed = row.get("errors")
        first = listed[0] if isinstance(listed, Sequence) and listed else {}
        rows.append({"row": row.get("index"), "column": first.get("location"), "reason": first.get("reason")})
    columns = ", ".join(sorted({str(row["column"]) for row in rows if row["column"]})) or "unnamed columns"
    return PermanentError(
        ErrorCode.INVALID_ARGUMENT,
        f"Correct {columns} of what is appended to {table}: BigQuery refused {len(errors)} row(s).",
        {"table": table, "rows": rows},
    )
