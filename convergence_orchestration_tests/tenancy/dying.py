"""A BigQuery whose process dies at a chosen write: what SIGKILL leaves behind, without waiting for a process."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock

from google.cloud import bigquery as google

from convergence_orchestration.gcp.bigquery import BigQuery, Parameters


class KilledError(BaseException):
    """Nothing catches this, as nothing catches SIGKILL."""


class DyingBigQuery(BigQuery):
    """Does its first `writes` writes and dies right behind the last of them, before its answer is used."""

    def __init__(self, client: google.Client, writes: int) -> None:
        super().__init__(client)
        self._left = writes
        self._counting = Lock()

    def create_dataset(
        self, dataset_id: str, *, description: str, labels: Mapping[str, str], writer: str = ""
    ) -> bool:
        self._before()
        return self._after(
            super().create_dataset(dataset_id, description=description, labels=labels, writer=writer)
        )

    def delete_dataset(self, dataset_id: str) -> None:
        self._before()
        super().delete_dataset(dataset_id)
        self._after(answer=None)

    def snapshot(self, source: str, destination: str, expires_at: datetime) -> None:
        self._before()
        super().snapshot(source, destination, expires_at)
        self._after(answer=None)

    def create_table(self, table: google.Table) -> bool:
        self._before()
        return self._after(super().create_table(table))

    def execute(self, sql: str, params: Parameters = ()) -> int:
        self._before()
        return self._after(super().execute(sql, params))

    def append(self, dataset_id: str, table_id: str, rows: Sequence[Mapping[str, object]]) -> None:
        self._before()
        super().append(dataset_id, table_id, rows)
        self._after(answer=None)

    def _before(self) -> None:
        with self._counting:
            self._left -= 1
            if self._left < 0:
                raise KilledError

    def _after[T](self, answer: T) -> T:
        if self._left <= 0:
            raise KilledError
        return answer
