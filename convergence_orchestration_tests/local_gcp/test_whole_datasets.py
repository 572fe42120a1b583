"""local-bigquery dies while it makes a dataset, in a process of its own, and is started again on the same files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_BEGINNING = """
import json
import os
import sys
from pathlib import Path

import anyio
import httpx
from local_bigquery.engine import database

from convergence_orchestration.local_gcp import bigquery

bigquery.import_extensions()
application = bigquery.warm_application(Path(sys.argv[1]))
body = {"datasetReference": {"projectId": "some-project", "datasetId": "shop"}, "labels": {"request_id": "req_1"}}

async def main(*calls):
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://bigquery/bigquery/v2/projects/some-project") as http:
        for method, path, sent in calls:
            answer = await http.request(method, path, json=sent)
            print(json.dumps([answer.status_code, answer.json().get("labels")]))
"""
_DIES = """
from local_bigquery.catalog import metadata

execute, writes = database.execute, 0

def dying(sql, params=None):
    global writes
    if "INTO emulator.datasets" in sql or sql.startswith("CREATE SCHEMA"):
        writes += 1
        if writes == int(sys.argv[2]):
            os._exit(9)
    execute(sql, params)

database.execute = metadata.execute = dying
anyio.run(main, ("POST", "/datasets", body))
"""
_LOOKS = """
anyio.run(main, ("GET", "/datasets/shop", None), ("POST", "/datasets", body), ("GET", "/datasets/shop", None))
"""


def answers(code: str, *arguments: str) -> tuple[int, list[list[object]]]:
    ended = subprocess.run(
        [sys.executable, "-c", _BEGINNING + code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("write", [1, 2], ids=["before the first write", "between the two writes"])
def test_a_dataset_of_which_the_making_was_cut_short_is_not_there_and_can_be_made(
    tmp_path: Path, write: int
) -> None:
    died, _ = answers(_DIES, str(tmp_path), str(write))
    ended, seen = answers(_LOOKS, str(tmp_path))

    assert (died, ended) == (9, 0)
    labels = {"request_id": "req_1"}
    assert seen == [[404, None], [200, labels], [200, labels]]
