from collections.abc import Callable

import pytest
from google.api_core import exceptions as google
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from convergence_orchestration.errors import ErrorCode, PermanentError, TransientError
from convergence_orchestration.gcp.translate import Service, error_for, may_pass, translated

KMS = Service(name="Cloud KMS", host="127.0.0.1:8004", project="acme-dev")


def of(kind: Callable[..., Exception], message: str = "as Google says it", **more: object) -> Exception:
    """An exception as Google's untyped constructors make it."""
    return kind(message, **more)


def rest(kind: Callable[..., Exception], reason: str) -> Exception:
    """An exception as an answer over REST becomes it."""
    return of(kind, errors=[{"reason": reason, "message": "as Google says it"}])


@pytest.mark.parametrize(
    ("raised", "code", "is_transient"),
    [
        (of(google.NotFound), ErrorCode.NOT_FOUND, False),
        (of(google.AlreadyExists), ErrorCode.ALREADY_EXISTS, False),
        (of(google.Aborted), ErrorCode.UNAVAILABLE, True),
        (of(google.PermissionDenied), ErrorCode.PERMISSION_DENIED, False),
        (of(google.Unauthenticated), ErrorCode.PERMISSION_DENIED, False),
        (of(google.FailedPrecondition), ErrorCode.FAILED_PRECONDITION, False),
        (of(google.PreconditionFailed), ErrorCode.FAILED_PRECONDITION, False),
        (of(google.InvalidArgument), ErrorCode.INVALID_ARGUMENT, False),
        (of(google.ResourceExhausted), ErrorCode.QUOTA_EXHAUSTED, True),
        (of(google.ServiceUnavailable), ErrorCode.UNAVAILABLE, True),
        (of(google.InternalServerError), ErrorCode.UNAVAILABLE, True),
        (of(google.DeadlineExceeded), ErrorCode.DEADLINE_EXCEEDED, True),
        (of(google.DataLoss), ErrorCode.DATA_CORRUPTED, True),
        (of(google.MethodNotImplemented), ErrorCode.INTERNAL, False),
        (rest(google.Forbidden, "accessDenied"), ErrorCode.PERMISSION_DENIED, False),
        (rest(google.Forbidden, "rateLimitExceeded"), ErrorCode.QUOTA_EXHAUSTED, True),
        (rest(google.Forbidden, "quotaExceeded"), ErrorCode.QUOTA_EXHAUSTED, True),
        (rest(google.Forbidden, "accessNotConfigured"), ErrorCode.FAILED_PRECONDITION, False),
        (rest(google.BadRequest, "jobBackendError"), ErrorCode.UNAVAILABLE, True),
        (rest(google.BadRequest, ""), ErrorCode.INVALID_ARGUMENT, False),
        (
            of(google.BadRequest, "Could not serialize access to table t due to concurrent update"),
            ErrorCode.UNAVAILABLE,
            True,
        ),
        (RequestsConnectionError("x"), ErrorCode.UNAVAILABLE, True),
        (ConnectionRefusedError("x"), ErrorCode.UNAVAILABLE, True),
        (ReadTimeout("x"), ErrorCode.DEADLINE_EXCEEDED, True),
        (TimeoutError("x"), ErrorCode.DEADLINE_EXCEEDED, True),
        (of(TransportError), ErrorCode.UNAVAILABLE, True),
        (of(RefreshError, retryable=True), ErrorCode.UNAVAILABLE, True),
        (of(RefreshError), ErrorCode.PERMISSION_DENIED, False),
        (of(DefaultCredentialsError), ErrorCode.PERMISSION_DENIED, False),
    ],
)
def test_each_exception_of_google_has_one_code(
    raised: Exception, code: ErrorCode, *, is_transient: bool
) -> None:
    with pytest.raises((PermanentError, TransientError)) as caught, translated("trying", KMS):
        raise raised

    assert caught.value.code is code
    assert isinstance(caught.value, TransientError) is is_transient


def test_what_is_no_exception_of_google_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), translated("dividing"):
        raise ZeroDivisionError


def test_an_error_of_ours_passes_through() -> None:
    ours = PermanentError(ErrorCode.KEY_EXISTS, "Use the key that is there.")

    with pytest.raises(PermanentError) as caught, translated("trying"):
        raise ours

    assert caught.value is ours


def test_a_missing_permission_names_the_command_that_grants_it() -> None:
    error = error_for(
        of(google.PermissionDenied, "no"), "encrypting", KMS, "gcloud kms keys add-iam-policy-binding k"
    )

    assert error.message.startswith(
        "Permission denied while encrypting: grant the missing role with `gcloud kms keys add-iam-policy-binding k`."
    )


def test_a_missing_permission_without_a_command_still_says_what_to_do() -> None:
    error = error_for(of(google.PermissionDenied, "no"), "encrypting", KMS)

    assert "grant the permission named here" in error.message


def test_refused_credentials_name_how_to_get_good_ones() -> None:
    error = error_for(of(RefreshError, "expired"), "encrypting", KMS, "gcloud ...")

    assert "gcloud auth application-default login" in error.message


def test_an_unreachable_service_is_named_with_its_host() -> None:
    error = error_for(of(google.ServiceUnavailable, "no route"), "encrypting", KMS)

    assert error.message.startswith(
        "Cloud KMS at 127.0.0.1:8004 is unavailable (encrypting): check that it runs"
    )
    assert error.details["host"] == "127.0.0.1:8004"


def test_an_exhausted_quota_says_where_to_ask_for_more_and_waits_a_minute() -> None:
    error = error_for(of(google.ResourceExhausted, "slow down"), "encrypting", KMS)

    assert isinstance(error, TransientError)
    assert error.retry_after == 60
    assert "quotas?project=acme-dev" in error.message


def test_when_retries_ran_out_the_last_cause_counts() -> None:
    exhausted = of(
        google.RetryError, "Timeout of 30.0s exceeded", cause=of(google.ServiceUnavailable, "down")
    )

    with pytest.raises(TransientError) as caught, translated("encrypting", KMS):
        raise exhausted

    assert caught.value.code is ErrorCode.UNAVAILABLE


def test_retries_within_retries_come_to_the_innermost_cause() -> None:
    inner = of(google.RetryError, "Timeout of 5.0s exceeded", cause=of(google.TooManyRequests, "slow down"))

    with pytest.raises(TransientError) as caught, translated("querying", KMS):
        raise of(google.RetryError, "Timeout of 9.0s exceeded", cause=inner)

    assert caught.value.code is ErrorCode.QUOTA_EXHAUSTED


def test_retries_that_ran_out_without_a_cause_are_a_passed_deadline() -> None:
    with pytest.raises(TransientError) as caught, translated("encrypting", KMS):
        raise of(google.RetryError, "Timeout of 30.0s exceeded", cause=None)

    assert caught.value.code is ErrorCode.DEADLINE_EXCEEDED


def test_googles_words_are_quoted_without_url_and_without_its_job_footer() -> None:
    said = (
        "GET http://127.0.0.1:8002/bigquery/v2/projects/p/jobs?prettyPrint=false: Unrecognized name: nope; "
        "reason: invalidQuery, location: query\n\nLocation: US\nJob ID: 1"
    )

    error = error_for(of(google.BadRequest, said), "querying", KMS)

    assert error.message.endswith("Cloud KMS says: Unrecognized name: nope.")


def test_a_long_quotation_is_cut() -> None:
    error = error_for(of(google.BadRequest, "x" * 1000), "querying", KMS)

    assert len(error.message) < 500
    assert error.message.endswith("...")


def test_an_unknown_exception_is_a_defect() -> None:
    assert error_for(ValueError("x"), "trying", KMS).code is ErrorCode.INTERNAL


def test_the_reason_of_a_grpc_error_is_kept() -> None:
    raised = of(google.PermissionDenied, "no", error_info={"reason": "SERVICE_DISABLED"})

    error = error_for(raised, "encrypting", KMS)

    assert error.code is ErrorCode.FAILED_PRECONDITION
    assert error.details["reason"] == "SERVICE_DISABLED"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (rest(google.Forbidden, "jobRateLimitExceeded"), True),
        (rest(google.BadRequest, "jobInternalError"), True),
        (of(google.BadRequest, "due to concurrent update against table t"), True),
        (rest(google.BadRequest, "invalidQuery"), False),
        (ConnectionError("lost"), False),
    ],
)
def test_a_failed_job_is_run_again_only_if_it_may_pass(raised: Exception, *, expected: bool) -> None:
    assert may_pass(raised) is expected
