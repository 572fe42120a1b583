"""After the whole demo and every other way to a key: no key in any file, table, storage, log, argument or environment."""

import base64
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from pydantic import SecretStr

from convergence_orchestration.cli.access import Access
from convergence_orchestration.cli.story import TENANTS, Story
from convergence_orchestration_tests.e2e.platform import Platform, free_base_port

_LOOK_SECONDS = 0.05


@pytest.fixture
def fresh_platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path / "data", free_base_port())
    platform.up()
    try:
        yield platform
    finally:
        platform.down()


def test_no_key_that_was_ever_issued_is_left_anywhere(fresh_platform: Platform) -> None:
    platform = fresh_platform
    with arguments_of(platform) as arguments:
        keys = [platform.admin_key, *the_demo(platform), *by_the_command_line(platform)]
        keys += from_the_ui(platform)
        keys += administrators(platform)
        sent_where_none_belongs(platform, keys)
        assert len(set(keys)) == len(keys) >= 8
        rows = rows_of_every_table(platform)
        platform.down()
    searched = Searched(keys)
    searched.text("arguments and environments of processes", "\n".join(sorted(arguments)))
    for table, content in rows.items():
        searched.text(table, content)
    for path in sorted(path for path in platform.data_dir.rglob("*") if path.is_file()):
        searched.file(path)
    assert searched.found == []
    assert searched.databases >= 4, "Dagster's storage and the local cloud's"
    assert searched.unpacked > 0, "what Dagster stores compressed was read"


def test_a_search_that_is_to_find_keys_finds_them_in_each_form(tmp_path: Path) -> None:
    key = "cvg_dev_" + "a" * 49
    searched = Searched([key])
    (tmp_path / "plain").write_text(f"x{key}x")
    (tmp_path / "encoded").write_bytes(b"no" + base64.b64encode(key.encode()))
    (tmp_path / "body").write_text(key.removeprefix("cvg_dev_"))
    with closing(sqlite3.connect(tmp_path / "packed.db")) as database:
        database.execute("CREATE TABLE bodies (body BLOB)")
        database.execute("INSERT INTO bodies VALUES (?)", [zlib.compress(key.encode())])
        database.commit()
    for path in sorted(tmp_path.iterdir()):
        searched.file(path)
    assert [Path(place.split(":")[0]).name for place in searched.found] == [
        "body",
        "encoded",
        "packed.db",
        "plain",
    ]


class Searched:
    """Where a key was found: as it is, without its prefix, or in base64; in databases also what is compressed."""

    def __init__(self, keys: list[str]) -> None:
        forms = [key.encode() for key in keys] + [key.rpartition("_")[2].encode() for key in keys]
        self._forms = forms + [base64.b64encode(key.encode()).rstrip(b"=")[:-2] for key in keys]
        self.found: list[str] = []
        self.databases = 0
        self.unpacked = 0

    def text(self, place: str, content: str | bytes) -> None:
        sought = content.encode() if isinstance(content, str) else content
        if any(form in sought for form in self._forms):
            self.found.append(place)

    def file(self, path: Path) -> None:
        content = path.read_bytes()
        self.text(str(path), content)
        if content.startswith(b"SQLite format 3"):
            self.databases += 1
            self._database(path)

    def _database(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.text_factory = bytes
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                for row in database.execute(f'SELECT * FROM "{name.decode()}"'):  # noqa: S608 its own name
                    self._row(f"{path}: {name.decode()}", row)

    def _row(self, place: str, row: tuple[object, ...]) -> None:
        for value in row:
            if isinstance(value, bytes):
                with suppress(zlib.error):
                    self.text(place, zlib.decompress(value))
                    self.unpacked += 1


def the_demo(platform: Platform) -> list[str]:
    """The story that `convergence demo` tells; the keys it issued."""
    story = Story(
        Access(platform.api_url, SecretStr(platform.admin_key)), platform.settings, platform.data_dir
    )

    def tell(_: str, act: Callable[[], str]) -> None:
        act()

    story.perform(tell)
    return list(story.keys.values())


def by_the_command_line(platform: Platform) -> list[str]:
    """A key issued, and rotated with an overlap."""
    issued = platform.convergence("key", "issue", TENANTS[0]).stdout.strip()
    key_id = platform.me(issued).json()["key"]["key_id"]
    rotated = platform.convergence("key", "rotate", key_id, "--grace", "1h").stdout.strip()
    assert platform.me(rotated).status_code == platform.me(issued).status_code == 200
    return [issued, rotated]


def from_the_ui(platform: Platform) -> list[str]:
    """A key issued by a run of Dagster alone, and revealed."""
    assert platform.admin("POST", "/tenants", {"tenant_id": "initech"}, Prefer="wait=120").status_code == 200
    launched = platform.admin("POST", "/api-keys", {"tenant_id": "initech"}, Prefer="respond-async").json()
    key_id, deadline = launched["key_id"], 200
    while deadline and platform.run_status(launched["run_id"]) not in {"SUCCESS", "FAILURE"}:
        deadline -= 1
    return [platform.convergence("key", "reveal", key_id).stdout.strip()]


def administrators(platform: Platform) -> list[str]:
    """A named administrator's key, its successor, and the platform's own successor."""
    added = platform.convergence("admin-key", "add", "ana").stdout.strip()
    rotated = platform.convergence("admin-key", "rotate", "ana").stdout.strip()
    return [added, rotated, platform.convergence("admin-key", "rotate").stdout.strip()]


def sent_where_none_belongs(platform: Platform, keys: list[str]) -> None:
    """Keys in paths, queries, ids and the wrong headers, as people do by mistake."""
    api = f"{platform.api_url}/api/v1"
    for key in keys:
        for url in (f"{api}/admin/api-keys/{key}", f"{api}/{key}", f"{api}/tenants/me?api_key={key}"):
            httpx.get(url, headers={"X-Admin-Key": key, "X-API-Key": key, "X-Request-ID": key})
        httpx.delete(f"{api}/admin/api-keys/{key}", headers={"X-Admin-Key": platform.admin_key})
        httpx.post(
            f"{api}/admin/tenants", json={"tenant_id": key}, headers={"X-Admin-Key": platform.admin_key}
        )


def rows_of_every_table(platform: Platform) -> dict[str, str]:
    """By table, all its rows as text."""
    client = platform.bigquery()
    tables = [
        f"{dataset.dataset_id}.{table.table_id}"
        for dataset in client.list_datasets()
        for table in client.list_tables(dataset.dataset_id)
    ]
    assert "tenants.api_key_events" in tables

    def rows(table: str) -> str:
        return repr([tuple(row.values()) for row in client.query_and_wait(f"SELECT * FROM {table}")])  # noqa: S608

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(tables, pool.map(rows, tables), strict=True))


@contextmanager
def arguments_of(platform: Platform) -> Iterator[set[str]]:
    """Every command line, and the environment of every process of the platform's, seen meanwhile."""
    seen: set[str] = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    words = " ".join(process.cmdline())
                    if str(platform.data_dir) in words or "convergence" in words:
                        seen.add(words)
                        seen.update(f"{name}={value}" for name, value in process.environ().items())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        is_over.set()
        watching.join()
