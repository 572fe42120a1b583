"""What verifying a key costs at 100,000 keys: `python -m benchmarks.verification [--keys N]`.

Each kind of key is judged many times in random order, against a plain look-up of a hash in a dict of the same size in the
same run, all by turns. Medians and means are of batches of 200 calls, in processor time. Also: what a look costs.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from convergence_orchestration.keys.follower import LedgerFollower
from convergence_orchestration.keys.index import KeyIndex
from convergence_orchestration.keys.model import ALL_SCOPES, KeyEvent, KeyEventKind, KeyId, KeyRecord
from convergence_orchestration.keys.token import generate_tenant_key, hash_of
from convergence_orchestration.keys.verifying import Verifier
from convergence_orchestration.settings import Environment
from convergence_orchestration.tenancy.model import TenantId

BATCH = 200
ROUNDS = 300
EACH = 1_000
"""So many revoked, expired, unknown... keys; the others of the index are good."""
HERE = Environment.DEVELOPMENT
NOW = datetime.now(UTC)


class Ledger:
    """A ledger in memory."""

    def __init__(self, events: list[KeyEvent]) -> None:
        self.events, self.late = events, list[KeyEvent]()

    def all(self) -> Sequence[KeyEvent]:
        """Every event."""
        return self.events

    def events_since(self, since: datetime) -> Sequence[KeyEvent]:
        """What came since the first look."""
        return self.late


def main() -> None:
    """Measure, and print rows for docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description="Verification of keys in memory")
    parser.add_argument("--keys", type=int, default=100_000)
    count = parser.parse_args().keys
    texts = [fresh() for _ in range(count)]
    events = [issued(number, text) for number, text in enumerate(texts)]
    ledger, index = Ledger(events), KeyIndex()
    follower = LedgerFollower(ledger, index, interval=60, clock=lambda: NOW)
    follower.refresh()
    swaps(follower, ledger, index, events)
    verifications(index, texts)


def verifications(index: KeyIndex, texts: list[str]) -> None:
    """What each kind of key costs; the index holds all of `texts`, some of them ended."""
    random = Random(4)  # noqa: S311 an order, no secret
    revoked, expired, good = texts[:EACH], texts[EACH : 2 * EACH], texts[2 * EACH :]
    ended = [record_of(index, text, revoked_at=NOW) for text in revoked]
    ended += [record_of(index, text, expires_at=NOW) for text in expired]
    index.update(ended, NOW)
    strangers = [fresh() for _ in range(EACH)]
    kinds = {
        "valid": random.choices(good, k=20 * EACH),
        "unknown": strangers,
        "revoked": revoked,
        "expired": expired,
        "of another environment": [fresh(Environment.STAGING) for _ in range(EACH)],
        "mistyped": [text[:-1] + ("0" if text[-1] != "0" else "1") for text in strangers],
        "no key at all": [f"{random.getrandbits(300):x}"[:57] for _ in range(EACH)],
        "empty": ["" for _ in range(EACH)],
        "1 MB long": [text * 17_500 for text in strangers[:10]],
    }
    verifier = Verifier(index, HERE, lambda: None, time.monotonic)
    plain = {hash_of(text): text for text in texts}
    hashes = [hash_of(text) for text in kinds["valid"]]
    took = by_turns(
        {"dict look-up of a hash": (plain.get, hashes)}
        | {kind: (partial(_verify, verifier), asked) for kind, asked in kinds.items()}
    )
    medians = {kind: statistics.median(of_kind) for kind, of_kind in took.items()}
    look_up = medians["dict look-up of a hash"]
    print(
        f"| {len(texts):,} keys | median us | mean us | ratio to a dict look-up |\n| --- | --- | --- | --- |"
    )
    for kind, of_kind in took.items():
        print(
            f"| {kind} | {medians[kind]:.2f} | {statistics.fmean(of_kind):.2f} | {medians[kind] / look_up:.1f} |"
        )
    refused = [median for kind, median in medians.items() if kind in kinds and kind not in {"valid", "empty"}]
    print(f"slowest kind of refusal / quickest: {max(refused) / min(refused):.2f}")


def _verify(verifier: Verifier, text: str) -> KeyRecord | None:
    return verifier.verify(text, NOW)


def by_turns(
    asked: Mapping[str, tuple[Callable[[str], object], Sequence[str]]],
) -> dict[str, list[float]]:
    """Microseconds of one call in each batch, the kinds by turns, in processor time of this thread."""
    took: dict[str, list[float]] = {kind: [] for kind in asked}
    for number in range(ROUNDS):
        for kind, (ask, texts) in asked.items():
            batch = [texts[(number * BATCH + place) % len(texts)] for place in range(BATCH)]
            began = time.thread_time()
            for text in batch:
                ask(text)
            took[kind].append((time.thread_time() - began) / BATCH * 1e6)
    return took


def swaps(follower: LedgerFollower, ledger: Ledger, index: KeyIndex, events: list[KeyEvent]) -> None:
    """What a look costs in memory: with nothing new, with one event, and when all is read anew."""
    nothing = [elapsed(follower.refresh) for _ in range(20)]
    one = []
    for number in range(20):
        ledger.late = [issued(len(events) + number, fresh())]
        one.append(elapsed(follower.refresh))
    anew = LedgerFollower(Ledger(events), KeyIndex(), interval=60, clock=lambda: NOW)
    print("| a look at the ledger, in memory | ms |\n| --- | --- |")
    print(f"| nothing new | {statistics.median(nothing):.3f} |")
    print(f"| one new event | {statistics.median(one):.2f} |")
    print(f"| all read anew, every 15 minutes | {elapsed(anew.refresh):.0f} |")
    assert len(index) == len(events) + 20


def elapsed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def record_of(
    index: KeyIndex, text: str, revoked_at: datetime | None = None, expires_at: datetime | None = None
) -> KeyRecord:
    """The record of a known key, ended."""
    known = index.get(hash_of(text))
    assert known is not None
    return KeyRecord(
        key_id=known.key_id,
        tenant_id=known.tenant_id,
        key_hash=known.key_hash,
        environment=known.environment,
        description=known.description,
        scopes=known.scopes,
        issued_at=known.issued_at,
        revoked_at=revoked_at,
        expires_at=expires_at,
    )


def issued(number: int, text: str) -> KeyEvent:
    """The event of a key that ends in a year."""
    return KeyEvent(
        key_id=KeyId(f"key_{number:020d}"),
        tenant_id=TenantId(f"tenant{number}"),
        kind=KeyEventKind.ISSUED,
        environment=HERE,
        recorded_at=NOW - timedelta(hours=1),
        actor="the benchmark",
        key_hash=hash_of(text),
        scopes=ALL_SCOPES,
        expires_at=NOW + timedelta(days=365),
    )


def fresh(environment: Environment = HERE) -> str:
    """A key."""
    return generate_tenant_key(environment).get_secret_value()


if __name__ == "__main__":
    main()
