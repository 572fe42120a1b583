import re
from dataclasses import replace

import pytest

from convergence_orchestration.errors import PermanentError
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.model import TenantId
from convergence_orchestration.tenancy.request_model import (
    BATCH_ID_PATTERN,
    REQUEST_ID_PATTERN,
    REQUEST_TRANSITIONS,
    RequestId,
    RequestState,
    batch_id_of_key,
    new_batch_id,
    new_request_id,
    parse_idempotency_key,
    parse_request_id,
    request_id_in_batch,
    request_id_of_deletion,
    request_id_of_key,
    request_id_of_run,
)
from convergence_orchestration_tests.tenancy.builders import FIRST, event


def test_request_ids_are_random_and_valid_as_a_label() -> None:
    ids = {new_request_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(
        re.fullmatch(r"[a-z0-9_-]{1,63}", each) and re.fullmatch(REQUEST_ID_PATTERN, each) for each in ids
    )


def test_a_run_stands_for_the_same_request_each_time_and_another_run_for_another() -> None:
    assert request_id_of_run("run-1") == request_id_of_run("run-1") != request_id_of_run("run-2")
    assert parse_request_id(request_id_of_run("run-1")) == request_id_of_run("run-1")


@pytest.mark.parametrize(
    "value", ["req_", "req_" + "a" * 25, "req_" + "A" * 26, "a" * 30, "req_" + "a" * 26 + "\n"]
)
def test_a_request_id_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(PermanentError, match="request id"):
        parse_request_id(value)


def test_every_state_has_its_transitions_and_done_has_none() -> None:
    assert set(REQUEST_TRANSITIONS) == set(RequestState)
    assert REQUEST_TRANSITIONS[RequestState.DONE] == frozenset()


def test_an_event_is_the_same_event_when_the_same_happened() -> None:
    running = event(RequestState.RUNNING)
    assert (
        running.event_id
        == event(RequestState.RUNNING, at=5).event_id
        == f"{running.request_id}.1.RUNNING.run-1"
    )
    assert event(RequestState.REQUESTED).event_id == f"{running.request_id}.1.REQUESTED"
    assert event(RequestState.RUNNING, attempt=2).event_id != running.event_id


def test_a_request_is_done_once_however_many_runs_carried_it_out() -> None:
    first, slower = (
        event(RequestState.DONE),
        replace(event(RequestState.DONE, attempt=2, at=9), run_id="other"),
    )

    assert first.event_id == slower.event_id == f"{first.request_id}.DONE"


def test_a_key_stands_for_one_request_of_its_kind_and_its_sender() -> None:
    ids = {
        request_id_of_key(RequestKind.ONBOARD, "ana", "k"),
        request_id_of_key(RequestKind.SUSPEND, "ana", "k"),
        request_id_of_key(RequestKind.ONBOARD, "ben", "k"),
        request_id_of_key(RequestKind.ONBOARD, "ana", "l"),
    }
    assert len(ids) == 4
    assert request_id_of_key(RequestKind.ONBOARD, "ana", "k") in ids
    assert all(re.fullmatch(REQUEST_ID_PATTERN, each) for each in ids)


def test_a_batch_sent_again_is_the_same_requests_and_another_batch_is_others() -> None:
    batch, other = batch_id_of_key("ana", "k"), new_batch_id()
    assert batch == batch_id_of_key("ana", "k") != batch_id_of_key("ana", "l")
    assert all(re.fullmatch(BATCH_ID_PATTERN, each) for each in (batch, other))
    acme, globex = TenantId("acme"), TenantId("globex")
    assert request_id_in_batch(batch, acme) == request_id_in_batch(batch, acme)
    ids = {
        request_id_in_batch(batch, acme),
        request_id_in_batch(batch, globex),
        request_id_in_batch(other, acme),
    }
    assert len(ids) == 3


def test_an_offboarding_has_one_deletion() -> None:
    assert request_id_of_deletion(FIRST) == request_id_of_deletion(FIRST) != RequestId(FIRST)


@pytest.mark.parametrize("key", ["a", "0b7d6a3e-7d0f-4a45-9a51-5c6bb1c1c1a4", "~" * 255])
def test_visible_ascii_is_an_idempotency_key(key: str) -> None:
    assert parse_idempotency_key(key) == key


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "ü", "a\n"])
def test_anything_else_is_no_idempotency_key(key: str) -> None:
    with pytest.raises(PermanentError, match="Idempotency-Key"):
        parse_idempotency_key(key)
