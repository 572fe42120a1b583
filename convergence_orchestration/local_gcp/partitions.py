"""One day of a partitioned table by `tabledata.list`: `TABLE$YYYYMMDD`, which local-bigquery does not know.

As in the real service, rows that were streamed a moment ago are not listed: they are in the streaming buffer. What belongs
here: that one answer, made with local-bigquery's own functions. Tables that are listed whole are none of its business.
"""

import json
import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread

from convergence_orchestration.local_gcp.asgi_faults import Application, Message, Receive, Send

BUFFERED_SECONDS = 1_800.0
"""Rows stay in the streaming buffer for some minutes, up to 90; here for half an hour, or until the process ends."""

_DAY = re.compile(
    r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables/(?P<table>[^/$]+)\$(?P<day>\d{8})/data"
)
_STREAMED = re.compile(r"(?P<table>/bigquery/v2/projects/[^/]+/datasets/[^/]+/tables/[^/]+)/insertAll")


class Partitions:
    """Wraps local-bigquery's application: a day of a table partitioned by a column is listed alone."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._streamed: dict[str, dict[str, float]] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the wrapped application does, but for a day's rows."""
        path = scope.get("path", "")
        if asked := _DAY.fullmatch(path):
            status, content = await anyio.to_thread.run_sync(self._day, asked, scope["query_string"].decode())
            await _answer(send, status, content)
            return
        if streamed := _STREAMED.fullmatch(path):
            receive = self._noting(streamed["table"], receive)
        await self._application(scope, receive, send)

    def _noting(self, table: str, receive: Receive) -> Receive:
        """What hands the body on, and remembers whose rows are in the buffer from now on."""
        body = b""

        async def receive_and_note() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body"):
                rows = json.loads(body or b"{}").get("rows", [])
                buffered = self._streamed.setdefault(table, {})
                buffered.update({row.get("insertId", ""): time.monotonic() for row in rows})
            return message

        return receive_and_note

    def _day(self, asked: re.Match[str], query: str) -> tuple[int, dict[str, Any]]:
        from local_bigquery.catalog import tabledata, tables  # noqa: PLC0415 it opens its database when it is imported
        from local_bigquery.engine import database, results  # noqa: PLC0415
        from local_bigquery.errors import from_exception  # noqa: PLC0415

        place = (asked["project"], asked["dataset"], asked["table"])
        given = {name: values[-1] for name, values in parse_qs(query).items()}
        try:
            partitioning = tables.get(*place).timePartitioning
            visible = [column.name for column in tabledata.columns(*place)]
            fields = given.get("selectedFields", ",".join(visible)).casefold().split(",")
            source = self._source(asked, tables.name(*place), partitioning.field, visible)
            limit, start = (
                given.get("maxResults"),
                int(given.get("pageToken") or given.get("startIndex") or 0),
            )
            with database.cursor() as cursor:
                page = results.page(
                    cursor,
                    source,
                    int(limit) if limit else None,
                    start,
                    fields,
                    given.get("formatOptions.useInt64Timestamp", "").lower() == "true",
                )
        except Exception as error:  # noqa: BLE001 local-bigquery's own way of answering whatever goes wrong
            refused = from_exception(error)
            return refused.code, refused.response()
        rows = [json.loads(row) if isinstance(row, str | bytes) else row for row in page.rows]
        content = {"kind": "bigquery#tableDataList", "totalRows": str(page.total), "rows": rows}
        return 200, content | ({"pageToken": page.next_token} if page.next_token else {})

    def _source(self, asked: re.Match[str], table: str, column: str, visible: list[str]) -> str:
        """The day's rows that are out of the buffer, as a subquery; what comes from outside is quoted."""
        day = datetime.strptime(asked["day"], "%Y%m%d").date()  # noqa: DTZ007 a day has no zone
        buffered = self._buffered(asked.string.split("$")[0]) if "event_id" in visible else []
        listed = ", ".join("'" + event_id.replace("'", "''") + "'" for event_id in buffered)
        hidden = f" AND event_id NOT IN ({listed})" if listed else ""
        return f"(SELECT *, rowid FROM {table} WHERE CAST(\"{column}\" AS DATE) = DATE '{day}'{hidden})"  # noqa: S608

    def _buffered(self, table: str) -> list[str]:
        since = time.monotonic() - BUFFERED_SECONDS
        return [event_id for event_id, at in self._streamed.get(table, {}).items() if at >= since]


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
