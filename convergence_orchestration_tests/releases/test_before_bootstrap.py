from dataclasses import replace

import pytest

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.before_bootstrap import EventsOnceBootstrapped, with_its_log
from convergence_orchestration.releases.model import ReleaseId
from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.releases.cloud import RunCloud, works_at


def test_the_first_release_may_come_before_the_bootstrap_and_no_other(
    run_cloud: RunCloud, settings: Settings
) -> None:
    with works_at(run_cloud, settings) as works:
        first = replace(works, site=with_its_log(works.site, ReleaseId("v1")))
        revision = first.deploy("v1")
        state = works.site.read()

        assert state is not None
        assert [(one.revision, one.percent) for one in state.serving if one.percent] == [(revision, 100)]
        again = with_its_log(works.site, ReleaseId("v1"))
        assert isinstance(again.events, EventsOnceBootstrapped), "killed and begun again it is the same"
        second = replace(works, site=with_its_log(works.site, ReleaseId("v2")))
        with pytest.raises(PermanentError, match="Bootstrap the platform first") as refused:
            second.deploy("v2")
        assert refused.value.code is ErrorCode.NOT_BOOTSTRAPPED
