from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Event

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.health.model import ProbeName, ProbeStatus
from convergence_orchestration.health.probes.looking import Finding, Look, Subject, healthy, look_at_all

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIVE, TLS = ProbeName.API_LIVE, ProbeName.TLS


def looked(*looks: Look) -> list[tuple[str, ProbeStatus, str]]:
    return [(one.target, one.status, one.message) for one in look_at_all(looks, lambda: NOW)]


def subject(target: str, probe: ProbeName = LIVE) -> Subject:
    return Subject(probe, target, "development")


def raising(error: Exception) -> Look:
    def ask() -> Sequence[Finding]:
        raise error

    return Look((subject("raises"),), ask)


def test_one_that_hangs_is_unknown_at_its_deadline_and_the_others_are_seen() -> None:
    never = Event()

    def hang() -> Sequence[Finding]:
        never.wait()
        return [healthy(), healthy()]

    hanging = Look((subject("a"), subject("b", TLS)), hang, seconds=0.05)
    found = looked(hanging, Look((subject("c"),), lambda: [healthy("fine")]))
    never.set()

    late = "There was no answer within 0.05 s."
    assert found == [
        ("a", ProbeStatus.UNKNOWN, late),
        ("b", ProbeStatus.UNKNOWN, late),
        ("c", ProbeStatus.HEALTHY, "fine"),
    ]


def test_what_may_pass_is_unknown_and_what_is_refused_for_good_is_unhealthy() -> None:
    assert looked(
        raising(TransientError(ErrorCode.UNAVAILABLE, "Try again.")),
        raising(PermanentError(ErrorCode.PERMISSION_DENIED, "Grant the role.")),
    ) == [
        ("raises", ProbeStatus.UNKNOWN, "Try again."),
        ("raises", ProbeStatus.UNHEALTHY, "Grant the role."),
    ]


def test_a_probe_that_fails_itself_says_nothing_of_its_target_and_none_of_its_words() -> None:
    ((_, status, message),) = looked(raising(ValueError("sk_live_secret")))
    assert (status, message) == (ProbeStatus.UNKNOWN, "The probe itself failed: ValueError.")

    ((_, status, _),) = looked(Look((subject("two for one"),), lambda: [healthy(), healthy()]))
    assert status is ProbeStatus.UNKNOWN


def test_only_what_was_answered_has_a_latency() -> None:
    answered, failed = look_at_all(
        [Look((subject("a"),), lambda: [healthy()]), raising(TransientError(ErrorCode.UNAVAILABLE, "x"))],
        lambda: NOW,
    )
    assert answered.latency_ms is not None
    assert answered.at == NOW
    assert failed.latency_ms is None


def test_no_looks_find_nothing() -> None:
    assert look_at_all([], lambda: NOW) == []
