import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.build import CloudBuild
from convergence_orchestration.gcp.run import CloudRun
from convergence_orchestration.releases.model import (
    EventKind,
    Percent,
    RevisionName,
    ServiceState,
    TrafficTarget,
    shares_of,
)
from convergence_orchestration.releases.revisions import change_traffic
from convergence_orchestration.releases.template import traffic_targets
from convergence_orchestration_tests.releases.cloud import Works

UNKNOWN_IMAGE = f"us-central1-docker.pkg.dev/platform/images/api@sha256:{'0' * 64}"


def kinds(works: Works, release: str = "v1") -> list[EventKind]:
    order = works.order(release)
    events = works.site.events.of_release(order.environment, order.service, order.release_id)
    return [event.kind for event in events]


def tags(works: Works) -> Mapping[str, str]:
    state = works.site.read()
    assert state is not None
    return {target.tag: target.revision for target in state.serving if target.tag}


def refused(works: Works, release: str, **fields: object) -> PermanentError:
    """The error that ends the release; it is written down as the job does."""
    one = works.deployment(release, **fields)
    with pytest.raises(PermanentError) as caught:
        works.deploy(release, **fields)
    one.fail(caught.value)
    return caught.value


class KilledError(Exception):
    pass


def killed(_seconds: float) -> None:
    """Stands where a process waits when it is killed."""
    raise KilledError


def test_a_first_deployment_serves_everybody_and_the_next_one_nobody(works: Works) -> None:
    first = works.deploy("v1")
    second = works.deploy("v2")

    state = works.site.read()
    assert state is not None
    assert state.serves({RevisionName(first): Percent(100)})
    assert tags(works) == {"blue": first, "green": second}
    assert shares_of(state.asked) == {first: 100}
    assert kinds(works, "v2") == [
        EventKind.STARTED,
        EventKind.BUILT,
        EventKind.DEPLOYED,
        EventKind.HANDED_OVER,
    ]
    handed_over = works.deployment("v2").progress().handed_over
    assert handed_over is not None
    assert (handed_over.revision, handed_over.stable_revision) == (second, first)


def test_killed_wherever_it_waits_and_begun_again_there_is_one_image_and_one_revision(works: Works) -> None:
    site = works.site
    run = CloudRun(site.run.services, site.run.revisions, site.run.project, site.run.region, pause=killed)
    build = CloudBuild(site.build.client, site.run.project, site.run.region, pause=killed)
    dying = replace(works, site=replace(site, run=run, build=build))

    with pytest.raises(KilledError):  # while Cloud Build builds
        dying.deploy()
    works.deployment().image()
    with pytest.raises(KilledError):  # while the revision starts
        dying.deploy()
    revision = works.deploy()
    assert works.deploy() == revision  # killed behind the last step: nothing is new

    assert [one.name.rpartition("/")[2] for one in site.run.list_revisions(works.service)] == [revision]
    parent = f"projects/{site.run.project}/locations/{site.run.region}"
    whose = works.deployment()._wanted().key  # noqa: SLF001 which builds are this release's
    builds = [one for one in site.build.client.list_builds(request={"parent": parent}) if whose in one.tags]
    assert len(builds) == 1
    assert kinds(works).count(EventKind.HANDED_OVER) == 1


def test_what_is_not_fit_is_refused_with_a_reason_and_traffic_stays_as_it_was(works: Works) -> None:
    first = works.deploy("v1")

    never_starts = refused(works.behaving("exit"), "v2")
    unprotected = refused(works.behaving("open"), "v3")
    crash_loop = refused(works.behaving("dies"), "v4")
    unknown = refused(works, "v5", source="", image=UNKNOWN_IMAGE)

    assert "Mend what is named here and release under another name" in never_starts.message
    assert "administration is protected: Not 403: 200" in unprotected.message
    assert "fails its smoke suite" in crash_loop.message
    assert f"Image '{UNKNOWN_IMAGE}' not found" in unknown.message
    for error in (never_starts, unprotected, crash_loop, unknown):
        assert error.code is ErrorCode.FAILED_PRECONDITION
        assert "traffic is as it was" in error.message
    state = works.site.read()
    assert state is not None
    assert state.serves({RevisionName(first): Percent(100)})
    assert tags(works) == {"blue": first}
    assert kinds(works, "v2")[-1] is EventKind.FAILED

    assert works.deploy("v6") in tags(works).values()  # none of them is in its way


def test_a_first_revision_that_never_starts_makes_way_for_the_next(works: Works) -> None:
    refused(works.behaving("exit"), "v1")
    second = works.deploy("v2")

    state = works.site.read()
    assert state is not None
    assert state.serves({RevisionName(second): Percent(100)})
    handed_over = works.deployment("v2").progress().handed_over
    assert handed_over is not None
    assert handed_over.stable_revision is None


def test_a_cloud_run_that_answers_500_to_every_status_call_changes_nothing(works: Works) -> None:
    first = works.deploy("v1")
    site = works.site
    impatient = CloudRun(
        site.run.services, site.run.revisions, site.run.project, site.run.region, total_seconds=0.5
    )
    hurried = replace(works, site=replace(site, run=impatient))
    faults = [{"method": f"*/{name}", "code": "INTERNAL"} for name in ("GetService", "GetRevision")]
    works.cloud.faults_file.write_text(yaml.safe_dump(faults))
    try:
        with pytest.raises(TransientError, match=r"Cloud Run at .* is unavailable"):
            hurried.deploy("v2")
    finally:
        works.cloud.faults_file.unlink()

    state = site.read()
    assert state is not None
    assert state.serves({RevisionName(first): Percent(100)})
    assert works.deploy("v2") in tags(works).values()  # the same release goes on


def test_sources_that_cannot_be_built_say_why(works: Works, tmp_path: Path) -> None:
    broken = shutil.copytree(works.cloud.tree, tmp_path / "broken")
    (broken / "pyproject.toml").write_text("[project]\nname = 1\n")

    error = refused(works, "v1", source=f"file://{broken}")

    assert error.code is ErrorCode.FAILED_PRECONDITION
    assert error.message.startswith("Mend the sources and release again: build ")
    assert "hatchling ended with status 1" in error.message


def test_a_name_stands_for_one_release(works: Works) -> None:
    works.deployment("v1").begin()

    with pytest.raises(ConvergenceError, match="Choose another name: release v1 was started with") as caught:
        works.deployment("v1", source="file:///elsewhere").begin()
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


def test_releases_that_are_deployed_at_once_do_not_lose_each_others_tags(works: Works) -> None:
    first = works.deploy("v1")
    with ThreadPoolExecutor(2) as threads:
        others = list(threads.map(works.deploy, ("v2", "v3")))

    state = works.site.read()
    assert state is not None
    assert state.serves({RevisionName(first): Percent(100)})
    assert set(tags(works).values()) == {first, *others}


def test_a_change_that_somebody_else_overtakes_is_decided_anew_but_not_for_ever(works: Works) -> None:
    first = works.deploy("v1")
    site = works.site
    looks: list[str] = []

    def racing(times: int) -> Callable[[ServiceState | None], tuple[TrafficTarget, ...]]:
        def wanted(state: ServiceState | None) -> tuple[TrafficTarget, ...]:
            assert state is not None
            looks.append(state.etag)
            if len(looks) <= times:  # somebody else is quicker
                mine = TrafficTarget(RevisionName(first), Percent(100))
                tagged = TrafficTarget(RevisionName(first), Percent(0), f"theirs-{len(looks)}")
                site.run.change_traffic(works.service, traffic_targets((mine, tagged)), state.etag)
            return (TrafficTarget(RevisionName(first), Percent(100), "ours"),)

        return wanted

    assert change_traffic(site, racing(1))
    assert len(looks) == 2
    site.run.wait_until_settled(works.service, 30)
    assert tags(works) == {"ours": first}
    with pytest.raises(TransientError, match="when nobody else changes"):
        change_traffic(site, racing(100))
