from convergence_orchestration.api.shared_refusals import SharedRefusals
from convergence_orchestration.errors import ErrorCode, PermanentError

REFUSAL = PermanentError(ErrorCode.KEY_EXISTS, "Revoke it first.", {"key_id": "key_1"})


def test_a_refusal_is_repeated_to_those_who_asked_before_the_look_and_to_nobody_else() -> None:
    refusals = SharedRefusals()
    assert refusals.said_to("acme", 1) is None
    refusals.remember("acme", 5, REFUSAL)
    said = refusals.said_to("acme", 5)
    assert said is not None
    assert (said.code, said.message, said.details) == (REFUSAL.code, REFUSAL.message, REFUSAL.details)
    assert said is not REFUSAL
    assert refusals.said_to("acme", 5.1) is None
    assert refusals.said_to("globex", 1) is None


def test_no_more_than_a_thousand_are_remembered() -> None:
    refusals = SharedRefusals()
    for number in range(1001):
        refusals.remember(str(number), refusals.now(), REFUSAL)
    assert refusals.said_to("0", 0) is None
    assert refusals.said_to("1000", 0) is not None
