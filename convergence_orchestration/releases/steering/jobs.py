"""The jobs by which people steer a rollout: pause, resume, promote, abort, retry, roll back, freeze, unfreeze.

What belongs here: their configs and ops. Each writes one event and then does what is due, as `migrate_traffic` does; what an
event may say is `making.py`.
"""

from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from convergence_orchestration.audit.runs import ACTOR_TAG, BY_HAND
from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.gcp.resources import BigQueryConnection, reported_failures
from convergence_orchestration.releases.model import EventKind
from convergence_orchestration.releases.resources import Releases
from convergence_orchestration.releases.steering.making import Hand, Place, hand_event
from convergence_orchestration.releases.traffic.jobs import MOVES, go_on, require_answer, scene_of

_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)
_REASON = Field(default="", description="Why, for whoever looks later; at most 500 characters.")
_RELEASE = Field(default="", description="Which release; empty: the one that was handed over last.")


class _Config(dg.Config):
    environment: str = Field(
        default="", description="development, staging or production; empty: that of this code location."
    )
    reason: str = _REASON


class SteerConfig(_Config):
    """What the launchpad asks."""

    release: str = _RELEASE


class PromoteConfig(SteerConfig):
    """What the launchpad asks."""

    percent: int = Field(
        default=0,
        description="To which share of the traffic, 1 to 100; 0: the next stage. At once, whatever the clock says.",
    )


class RollbackConfig(_Config):
    """What the launchpad asks."""

    revision: str = Field(
        default="",
        description="Which revision shall have all traffic, for example convergence-api-prod-v1-0-0-1a2b3c4d; empty: the one "
        "before. If it is unhealthy the traffic goes to one that is not, and the run says so.",
    )


class FreezeConfig(_Config):
    """What the launchpad asks."""

    start: str = Field(default="", description="From when, ISO 8601; empty: now.")
    until: str = Field(description="Until when, ISO 8601, for example 2030-01-02T06:00:00Z.")


def _steering(name: str, kind: EventKind, description: str) -> dg.OpDefinition:
    """An op that asks for nothing but a release and a reason."""

    @dg.op(name=name, description=description, retry_policy=_RETRIES)
    def steer(
        context: dg.OpExecutionContext, config: SteerConfig, bigquery: BigQueryConnection, releases: Releases
    ) -> None:
        hand = _hand(kind, config, release=config.release)
        _steer(_Run(context, releases, bigquery), config, hand)

    return steer


pause_rollout = _steering(
    "pause_rollout",
    EventKind.PAUSED,
    "Nothing is promoted until somebody resumes it; what turns out bad is still rolled back.",
)
resume_rollout = _steering("resume_rollout", EventKind.RESUMED, "A rollout that waits for a person goes on.")
abort_rollout = _steering("abort_rollout", EventKind.ABORTED, "All traffic goes back to the stable revision.")
retry_rollout = _steering(
    "retry_rollout",
    EventKind.RETRIED,
    "A release that was rolled back or stopped begins again with its first stage.",
)


@dg.op(retry_policy=_RETRIES)
def promote_rollout(
    context: dg.OpExecutionContext, config: PromoteConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """The next stage, or the one that is named, begins now."""
    hand = _hand(EventKind.PROMOTE_NOW, config, release=config.release, percent=config.percent or None)
    _steer(_Run(context, releases, bigquery), config, hand)


@dg.op(retry_policy=_RETRIES)
def roll_back(
    context: dg.OpExecutionContext, config: RollbackConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """All traffic goes to one revision, verified, and the service's address is probed."""
    _steer(
        _Run(context, releases, bigquery),
        config,
        _hand(EventKind.ROLL_BACK_ASKED, config, revision=config.revision),
    )


@dg.op(retry_policy=_RETRIES)
def freeze(
    context: dg.OpExecutionContext, config: FreezeConfig, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """Nothing is promoted in the window; rolling back is always allowed."""
    _steer(
        _Run(context, releases, bigquery),
        config,
        _hand(EventKind.FROZEN, config, start=config.start, end=config.until),
    )


@dg.op(retry_policy=_RETRIES)
def unfreeze(
    context: dg.OpExecutionContext, config: _Config, bigquery: BigQueryConnection, releases: Releases
) -> None:
    """Every freeze by hand is over."""
    _steer(_Run(context, releases, bigquery), config, _hand(EventKind.UNFROZEN, config))


def _job(name: str, op: dg.OpDefinition, description: str) -> dg.JobDefinition:
    return dg.GraphDefinition(name=name, node_defs=[op]).to_job(tags=MOVES, description=description)


def steering_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [
        _job("pause_release", pause_rollout, "Pauses a rollout: a bad candidate is still rolled back."),
        _job("resume_release", resume_rollout, "Lets a rollout that waits for a person go on."),
        _job(
            "promote_release", promote_rollout, "Promotes a release now, whatever the clock or a freeze says."
        ),
        _job("abort_release", abort_rollout, "Gives all traffic back to the stable revision."),
        _job("retry_release", retry_rollout, "Begins a stopped release again with its first stage."),
        _job(
            "rollback_service",
            roll_back,
            "Gives all traffic to the revision before, or to one that is named.",
        ),
        _job("freeze_releases", freeze, "Promotes nothing for a while, in any release of the service."),
        _job("unfreeze_releases", unfreeze, "Ends every freeze by hand."),
    ]


def _hand(kind: EventKind, config: _Config, **fields: object) -> Hand:
    return Hand(kind, reason=config.reason, **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Run:
    context: dg.OpExecutionContext
    releases: Releases
    bigquery: BigQueryConnection


def _steer(this: _Run, config: _Config, hand: Hand) -> None:
    """Write the event, unless it was written before, and do what is due."""
    context, run = this.context, this.context.run
    signed = Hand(
        **{
            **vars(hand),
            "actor": run.tags.get(ACTOR_TAG) or BY_HAND,
            "run_id": run.root_run_id or run.run_id,
        }
    )
    with reported_failures(), scene_of(context, this.releases, this.bigquery, config.environment) as scene:
        known = scene.read_events()
        written = [one for one in known if one.run_id == signed.run_id and one.kind is signed.kind]
        if not written:
            if hand.revision and scene.run.find_revision(scene.service, hand.revision) is None:
                raise PermanentError(
                    ErrorCode.NOT_FOUND,
                    f"Name a revision that {scene.service} has: {hand.revision} is none. Traffic is as it was.",
                    {"field": "revision"},
                )
            event = hand_event(signed, Place(scene.environment, scene.service), known, scene.clock())
            scene.events.append(event)
            written = [event]
        go_on(context, scene, written, watches=hand.kind is EventKind.PROMOTE_NOW)
        if hand.kind in {EventKind.ROLL_BACK_ASKED, EventKind.ABORTED}:
            require_answer(context, scene)
