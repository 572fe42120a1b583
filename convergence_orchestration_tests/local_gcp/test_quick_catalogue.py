import subprocess
import sys
from pathlib import Path

_BOTH_WAYS = """
import sys
from collections import Counter
from pathlib import Path

import httpx
import anyio
from local_bigquery.engine import database

from convergence_orchestration.local_gcp import bigquery
from convergence_orchestration.local_gcp.quick_catalogue import QUICK

bigquery.import_extensions()
slow, asked = database.fetch, Counter()
application = bigquery.warm_application(Path(sys.argv[1]))
quick = database.fetch

def both(sql, params=None):
    answer = quick(sql, params)
    if sql in QUICK:
        asked[sql] += 1
        assert sorted(answer) == sorted(slow(sql, params)), (sql, params)
    return answer

database.fetch = both

async def main():
    url, project = "http://bigquery", "some-project"
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url=f"{url}/bigquery/v2/projects/{project}") as http:

        async def query(sql):
            body = {"query": sql, "useLegacySql": False}
            answer = await http.post("/queries", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        reference = {"projectId": project, "datasetId": "shop"}
        await http.post("/datasets", json={"datasetReference": reference})
        await query("CREATE TABLE shop.fruit (name STRING NOT NULL, weight INT64)")
        await query("CREATE VIEW shop.heavy AS SELECT name FROM shop.fruit WHERE weight > 2")
        await query("INSERT INTO shop.fruit VALUES ('apple', 1), ('melon', 9), ('plum', 1)")
        await query("DELETE FROM shop.fruit WHERE name = 'plum'")
        await query("ALTER TABLE shop.fruit ADD COLUMN colour STRING")
        heavy = await query("SELECT * FROM shop.heavy")
        assert heavy["rows"] == [{"f": [{"v": "melon"}]}], heavy
        table = (await http.get("/datasets/shop/tables/fruit")).json()
        assert [field["name"] for field in table["schema"]["fields"]] == ["name", "weight", "colour"], table
        tables = (await http.get("/datasets/shop/tables")).json()
        assert tables["totalItems"] == 2, tables
        assert (await http.get("/datasets/shop/tables/none")).status_code == 404
        assert (await http.get("/datasets/none")).status_code == 404
        await query("DROP TABLE shop.fruit")
        assert (await http.get("/datasets/shop/tables/fruit")).status_code == 404

anyio.run(main)
assert set(asked) == set(QUICK), [sql for sql in QUICK if sql not in asked]
"""


def test_each_quick_look_up_is_one_that_local_bigquery_makes_and_answers_as_the_slow_one(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _BOTH_WAYS, tmp_path], check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
