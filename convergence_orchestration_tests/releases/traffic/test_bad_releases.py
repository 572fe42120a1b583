"""Bad releases on the local cloud's real processes, each an image of its own, while clients ask 100 times a second."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from convergence_orchestration.releases.model import EventKind, ReleaseEvent, RevisionName, Verdict
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.releases.cloud import RunCloud, Works, small_tree, works_at
from convergence_orchestration_tests.releases.traffic.clients import asking
from convergence_orchestration_tests.releases.traffic.driving import SECONDS_BETWEEN_TICKS, Dagster, happened

_RATE = 100
_NAMED_BY = {
    "errors": "answers were errors",
    "slow": r"p9[59] is \d+ ms",
    "hang": r"the others hang or never reach it|p9[59] is \d+ ms",
    "crash": "answers were errors|of the tag failed|never reach it",
}


@dataclass
class Served:
    """A service with a stable revision, and a Dagster that drives its rollouts."""

    works: Works
    dagster: Dagster
    stable: RevisionName

    def events(self, release: str) -> list[ReleaseEvent]:
        return [event for event in self.dagster.events() if event.release_id == release]


@pytest.fixture(scope="module")
def served(
    run_cloud: RunCloud, project: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One service for all faults: each release of it is rolled back, so that the next one finds it as it was."""
    home = tmp_path_factory.mktemp("dagster")
    with works_at(run_cloud, project) as works, dg.DagsterInstance.local_temp(str(home)) as instance:
        dagster = Dagster(works, works.site.specification, instance)
        stable = works.deploy("v1")
        dagster.until(happened(EventKind.STAGE_VERIFIED), 20)
        dagster.launch("promote_release", "promote_rollout", reason="the first revision")
        yield Served(works, dagster, RevisionName(stable))


@pytest.mark.parametrize("fault", _NAMED_BY)
def test_a_bad_release_is_rolled_back_within_seconds_and_its_report_counts_whom_it_harmed(
    served: Served, fault: str, tmp_path: Path
) -> None:
    works, dagster = served.works, served.dagster
    dagster.forget()
    candidate = works.deploy(fault, source=f"file://{small_tree(tmp_path / 'tree', fault)}")

    with asking(works, _RATE) as answers:
        dagster.until(lambda _: happened(EventKind.STOPPED)(served.events(fault)), 60)

    events = served.events(fault)
    (rolled_back,) = [event for event in events if event.kind is EventKind.ROLLED_BACK]
    (stopped,) = [event for event in events if event.kind is EventKind.STOPPED]
    bad = answers.bad(candidate)
    assert re.search(_NAMED_BY[fault], rolled_back.reason), rolled_back.reason
    assert rolled_back.verdict is Verdict.UNHEALTHY
    assert dagster.shares() == {served.stable: 100}
    assert stopped.recorded_at.timestamp() - bad[0].sent < 3 * SECONDS_BETWEEN_TICKS
    assert bad[-1].sent < stopped.recorded_at.timestamp()
    page = Path(dagster.instance.root_directory) / "reports" / works.site.environment / f"{fault}.html"
    harmed = re.search(r"requests harmed</th><td>(\d+)", page.read_text())
    assert harmed, page.read_text()
    assert 0 < int(harmed[1]) < 3 * len(bad) + 10, (harmed[1], len(bad))
