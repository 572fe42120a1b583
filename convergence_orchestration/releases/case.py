"""Everything that one decision is made from, and the actions that it may end in.

What belongs here: the facts that several rules ask for. The rules themselves are in rules/, their order in rollout.py.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from convergence_orchestration.releases.actions import Action, Hold, Pause, RollBack, ShiftTraffic
from convergence_orchestration.releases.evidence import Evidence, RevisionEvidence
from convergence_orchestration.releases.heirs import choose_heir
from convergence_orchestration.releases.judge import Judgement, judge
from convergence_orchestration.releases.model import (
    NO_NUMBERS,
    Numbers,
    Percent,
    RevisionName,
    ServiceState,
    Verdict,
    shares_of,
)
from convergence_orchestration.releases.policy import FreezeWindow, RolloutPolicy
from convergence_orchestration.releases.stages import asked_of, targets_for
from convergence_orchestration.releases.standing import History, Rollout, split


@dataclass(frozen=True)
class Case:
    """One moment of one release."""

    service: ServiceState
    evidence: Evidence
    history: History
    rollout: Rollout
    policy: RolloutPolicy
    now: datetime

    @property
    def candidate(self) -> RevisionName:
        """The revision that is released."""
        return self.rollout.revision

    @property
    def has_traffic(self) -> bool:
        """Whether the candidate gets any, or would by what was asked."""
        return self.candidate in shares_of(self.service.asked) | shares_of(self.service.serving)

    @cached_property
    def verified_at(self) -> datetime | None:
        """When the clock of the stage started."""
        return self.rollout.asked.verified_at if self.rollout.asked is not None else None

    @property
    def bake_ends_at(self) -> datetime | None:
        """When the stage has baked; None while its clock has not started."""
        return self.verified_at + self.policy.bake if self.verified_at is not None else None

    @cached_property
    def judgement(self) -> Judgement:
        """Of the stage since its traffic was verified; to convict, what arrived since it was asked for counts too."""
        if self.verified_at is None:
            return self._judge(self._stage_began_at, None)
        everything = self.evidence.of(self.candidate).since(self._stage_began_at)
        if everything.since(self.verified_at) is not everything:  # something came before the clock started
            early = self._judge(self._stage_began_at, None)
            if early.verdict is Verdict.UNHEALTHY:
                return early
        return self._judge(self.verified_at, self.rollout.asked.percent if self.rollout.asked else None)

    @property
    def measured(self) -> RevisionEvidence:
        """The candidate's evidence since the stage's traffic was verified."""
        return self.evidence.of(self.candidate).since(self.verified_at or self.now)

    @property
    def freeze(self) -> FreezeWindow | None:
        """The window that forbids promotions now; the one that ends last."""
        now = [window for window in self._freezes if window.covers(self.now)]
        return max(now, key=lambda window: window.end, default=None)

    @property
    def last_freeze_ended_at(self) -> datetime | None:
        """When the last of the windows that are over ended."""
        return max((window.end for window in self._freezes if window.end <= self.now), default=None)

    def shift(self, percent: Percent, reason: str, verdict: Verdict, numbers: Numbers = NO_NUMBERS) -> Action:
        """Traffic for the candidate; a pause when the rest of it would go to a revision that cannot serve."""
        shares = split(self.candidate, self.rollout.stable, percent)
        unfit = [name for name in shares if not self.service.is_ready(name)]
        if unfit:
            words = f"{unfit[0]} cannot serve, so the traffic stays as it is. Promote to 100 % or abort."
            return self.pause("unfit", words, verdict, numbers)
        return ShiftTraffic(
            revision=self.candidate,
            stable=self.rollout.stable if self.rollout.stable != self.candidate else None,
            percent=shares[self.candidate],
            targets=targets_for(self.service, shares),
            etag=self.service.etag,
            reason=reason,
            verdict=verdict,
            numbers={**numbers, **asked_of(self.service)},
        )

    def go_back(
        self,
        wanted: RevisionName | None,
        reason: str,
        judgement: Judgement | None = None,
        answers: str | None = None,
    ) -> Action:
        """All traffic to `wanted` or whoever is healthy; a pause when nobody is left.

        Args:
            wanted: the one that is meant; None: the stable one. The candidate itself if it shall have everything.
            reason: why.
            judgement: what speaks against the candidate.
            answers: the id of the event by which a person wanted it.
        """
        judgement = judgement or Judgement(Verdict.UNKNOWN, "")
        is_bad = judgement.verdict is Verdict.UNHEALTHY
        leaving = self.candidate if is_bad or wanted != self.candidate else None
        heir = choose_heir(self.service, self.evidence, self.history, self.policy, wanted, leaving)
        numbers = {**judgement.numbers, **asked_of(self.service), **({"answers": answers} if answers else {})}
        if heir is None:
            words = f"{reason} There is no other revision that can take the traffic."
            return self.pause("nowhere_to_go", words, judgement.verdict, numbers)
        return RollBack(
            revision=self.candidate,
            to=heir.revision,
            targets=targets_for(self.service, {heir.revision: Percent(100)}),
            etag=self.service.etag,
            reason=" ".join(filter(None, (reason, heir.words))),
            verdict=judgement.verdict,
            numbers=numbers,
        )

    def pause(
        self, because: str, reason: str, verdict: Verdict = Verdict.UNKNOWN, numbers: Numbers = NO_NUMBERS
    ) -> Pause:
        """A person is needed."""
        alert = f"Release {self.rollout.release_id} waits for a person: {reason}"
        numbers = {**numbers, "because": because}
        return Pause(reason=reason, alert=alert, verdict=verdict, numbers=numbers, because=because)

    def hold_or_pause(
        self,
        because: str,
        since: datetime,
        judgement: Judgement,
    ) -> Hold | Pause:
        """Wait for a decision until the deadline, then for a person; exactly at the deadline is in time."""
        until = (
            max(filter(None, (since, self.rollout.resumed_at, self.last_freeze_ended_at))) + self.policy.hold
        )
        if self.now <= until:
            numbers = {**judgement.numbers, "because": because}
            return Hold(
                reason=judgement.words,
                verdict=judgement.verdict,
                numbers=numbers,
                because=because,
                until=until,
            )
        reason = f"Undecided for {self.policy.hold} longer than planned: {judgement.words}"
        return self.pause(because, reason, judgement.verdict, judgement.numbers)

    @property
    def _freezes(self) -> tuple[FreezeWindow, ...]:
        return (*self.policy.freezes, *self.history.freezes)

    @property
    def _stage_began_at(self) -> datetime:
        asked = self.rollout.asked
        return asked.at if asked is not None else self.rollout.handed_over_at

    def _judge(self, since: datetime, share: Percent | None) -> Judgement:
        stable = self.evidence.of(self.rollout.stable).since(since) if self.rollout.stable else None
        candidate = self.evidence.of(self.candidate).since(since)
        return judge(candidate, stable, share, self.policy, is_only=self.rollout.stable is None)
