"""Local BigQuery stays as quick as it was; in a process of its own, because local-bigquery opens its database when it is imported."""

import subprocess
import sys
from pathlib import Path

_KEPT_UP = """
import sys
import time
from pathlib import Path

import anyio
import duckdb
import httpx

from convergence_orchestration.local_gcp import bigquery, lake_upkeep
from convergence_orchestration.local_gcp.lost_races import telling_lost_races

bigquery.import_extensions()
directory = Path(sys.argv[1])
application = bigquery.warm_application(directory)
from local_bigquery.jobs import query as query_module

async def main():
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://bigquery/bigquery/v2/projects/some-project") as http:

        async def query(sql, **more):
            answer = await http.post("/queries", json={"query": sql, "useLegacySql": False, **more})
            assert answer.status_code == 200, answer.text
            return answer.json()

        def values(answer):
            return [row["f"][0]["v"] for row in answer["rows"]]

        def files():
            return len(list(directory.rglob("*.parquet")))

        reference = {"projectId": "some-project", "datasetId": "shop"}
        await http.post("/datasets", json={"datasetReference": reference})
        await query("CREATE TABLE shop.fruit (number INT64)")
        for number in range(lake_upkeep.MANY_FILES):
            row = {"insertId": str(number), "json": {"number": number}}
            await http.post("/datasets/shop/tables/fruit/insertAll", json={"rows": [row]})
        known = {}
        assert files() == lake_upkeep.MANY_FILES
        fruit = ("some-project", "shop", "fruit")
        assert lake_upkeep.merge_files(known) == [fruit]
        assert known == {fruit: 1}
        assert files() == lake_upkeep.MANY_FILES + 1, "whoever reads the old ones can go on"
        assert lake_upkeep.merge_files(known) == []
        page = (await http.get("/datasets/shop/tables/fruit/data?maxResults=2&startIndex=7")).json()
        assert values(page) == ["7", "8"], page
        lake_upkeep._SETTLED_SECONDS = 0
        known.clear()
        lake_upkeep.MANY_FILES = 1
        lake_upkeep.merge_files(known)
        assert files() == 1
        answer = await query("SELECT number FROM shop.fruit ORDER BY number DESC LIMIT 1")
        assert values(answer) == ["49"]

        of_the_answer = f"/queries/{answer['jobReference']['jobId']}"
        assert lake_upkeep.forget_answers(time.time() - 60) == 0
        assert (await http.get(of_the_answer)).status_code == 200
        assert lake_upkeep.forget_answers(time.time() + 60) == 1
        assert (await http.get(of_the_answer)).status_code == 404

        assert values(await query("CREATE TEMP TABLE mine AS SELECT 1 AS a; SELECT a + 1 FROM mine")) == ["2"]
        session = (await query("CREATE TEMP TABLE ours AS SELECT 5 AS a", createSession=True))["sessionInfo"]
        inside = [{"key": "session_id", "value": session["sessionId"]}]
        assert values(await query("SELECT a FROM ours", connectionProperties=inside)) == ["5"]

        def lose(words):
            def execute(*_arguments, **_named):
                raise duckdb.TransactionException(words)
            return execute

        whole = query_module.execute
        query_module.execute = telling_lost_races(lose("cannot rollback - no transaction is active"))
        lost = await http.post("/queries", json={"query": "SELECT 1", "useLegacySql": False})
        assert lost.status_code == 400 and "concurrent update" in lost.text, lost.text
        query_module.execute = telling_lost_races(lose("cannot commit - no transaction is active"))
        wrong = await http.post("/queries", json={"query": "SELECT 1", "useLegacySql": False})
        assert wrong.status_code == 400 and "concurrent update" not in wrong.text, wrong.text
        query_module.execute = whole

anyio.run(main)
"""

_AS_ASKED = """
import inspect

from convergence_orchestration.local_gcp.quick_catalogue import TEMPORARY
from local_bigquery.jobs import query

assert TEMPORARY in inspect.getsource(query.execute)
"""


def _succeeds(program: str, *arguments: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr


def test_small_files_become_one_old_answers_go_and_lost_races_are_told(tmp_path: Path) -> None:
    _succeeds(_KEPT_UP, tmp_path)


def test_the_look_up_that_is_spared_is_one_that_local_bigquery_makes() -> None:
    _succeeds(_AS_ASKED)
