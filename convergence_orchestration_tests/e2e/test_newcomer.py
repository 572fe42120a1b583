"""A newcomer types what the pages say, and looks at Dagster's UI: one platform, started as README.md says.

The pictures of the pages come from here: `pytest FILE --screenshots docs/images`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from convergence_orchestration.definitions import build_definitions
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.docs.pages import runnable_blocks
from convergence_orchestration_tests.e2e.browser import PATIENCE_MS, UI, dagster_ui
from convergence_orchestration_tests.e2e.newcomer import RELEASED, Newcomer, newcomer

JOBS = "/locations/convergence_orchestration/jobs"
BLOCKS = runnable_blocks()


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    with newcomer(tmp_path_factory.mktemp("newcomer")) as made:
        yield made


@pytest.fixture(scope="module")
def shown(person: Newcomer) -> str:
    """What the terminal shows when every runnable block was typed."""
    return person.type(BLOCKS)


@pytest.fixture(scope="module")
def ui(person: Newcomer, request: pytest.FixtureRequest, shown: str) -> Iterator[UI]:
    assert shown
    wanted = request.config.getoption("--screenshots")
    with dagster_ui(person.platform.dagster_url, Path(wanted) if wanted else None) as made:
        yield made


def test_every_runnable_block_does_what_its_page_says(shown: str) -> None:
    assert re.findall(r"^>>> (.+)$", shown, re.MULTILINE) == [block.place for block in BLOCKS]
    assert '"tenant_id":"acmecorp","state":"ACTIVE"' in shown
    assert re.search(r"^cvg_dev_\w{49}$", shown, re.MULTILINE)  # what `convergence key issue` prints
    assert re.search(r"^\d+ ok, 0 problem", shown, re.MULTILINE)
    assert "smoke suite: passed." in shown
    assert "the log is whole" in shown


def test_the_asset_graph_shows_every_group(ui: UI) -> None:
    graph = build_definitions(load_settings(_env_file=None)).get_repository_def().asset_graph
    groups = {graph.get(key).group_name or "" for key in graph.get_all_asset_keys()}

    ui.open("/asset-groups")

    ui.sees(*sorted(groups))
    expect(ui.page.get_by_text("fetching statuses")).to_have_count(0, timeout=PATIENCE_MS)
    ui.picture("asset-graph")


def test_bootstrap_launches_from_the_launchpad_with_its_defaults(ui: UI, person: Newcomer) -> None:
    ui.open(f"{JOBS}/bootstrap/playground")
    ui.sees("All defaults expanded", "No errors")
    ui.picture("launchpad")

    ui.button("Launch Run").click()
    ui.page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))

    ui.sees("Success")
    assert person.platform.run_status(ui.page.url.rpartition("/")[2].partition("?")[0]) == "SUCCESS"


def test_a_tenants_partition_is_materialized(ui: UI) -> None:
    partition = "/assets/tenant/pipeline_runs?view=partitions&partition=acmecorp"
    ui.open(partition)
    ui.sees("created")  # by the onboarding

    ui.button("Materialize…").click()
    ui.button("Launch 1 run").click()

    ui.opens_until(partition, "existed")
    ui.sees("View all historical events (2)")
    ui.picture("tenant-partition")


def test_the_report_of_the_release_shows_its_picture(ui: UI) -> None:
    ui.opens_until(
        f"/assets/release_report?view=partitions&partition=development%2F{RELEASED}", "[Show Markdown]"
    )

    ui.text("[Show Markdown]").click()

    ui.sees(f"Release {RELEASED}: finished: it is the stable revision")
    picture = ui.page.get_by_alt_text("traffic, errors and latency over time")
    expect(picture).to_be_visible(timeout=PATIENCE_MS)
    assert picture.evaluate("image => image.naturalWidth") > 0
    ui.picture("release-report")
