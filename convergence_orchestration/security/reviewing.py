"""One review: everything that is looked at, compared.

What belongs here: putting the parts together.
"""

from datetime import datetime

from convergence_orchestration.environment.cloud import Cloud
from convergence_orchestration.security.baseline import Baseline
from convergence_orchestration.security.comparing import compared, reviewed
from convergence_orchestration.security.google_cloud import enforced
from convergence_orchestration.security.looking import looked_at
from convergence_orchestration.security.model import Line, Review
from convergence_orchestration.security.protections import protections


def review(cloud: Cloud, baseline: Baseline, now: datetime) -> Review:
    """The review of one environment."""
    lines: list[Line] = []
    for looked in looked_at(cloud):
        members = {grant.member for grant in looked.grants or ()}
        tolerated = frozenset(member for member in members if baseline.tolerates(member))
        declared = baseline.declared(looked.place, cloud.settings) | enforced(looked.place, cloud.settings)
        lines += compared(looked, declared, tolerated)
    lines += protections(cloud, baseline.asks_for, now)
    return reviewed(cloud.settings.environment, lines)
