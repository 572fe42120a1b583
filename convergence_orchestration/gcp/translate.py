"""Google's exceptions become ours here, once, each with a first sentence that says what to do.

What belongs here: which exception means which code, and the sentence for it. What does not: retries, which are over
when an exception arrives here (see `deadlines.py`).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from google.api_core import exceptions as google
from google.auth.exceptions import GoogleAuthError, TransportError
from requests.exceptions import RequestException, Timeout

from convergence_orchestration import tracing
from convergence_orchestration.errors import ConvergenceError, ErrorCode, PermanentError, TransientError

_LONGEST_QUOTE = 300  # characters of Google's own words in a message


@dataclass(frozen=True)
class Service:
    """A Google service as a sentence about it needs it.

    Attributes:
        name: what people call it, for example Cloud KMS.
        host: whom this process asks, an emulator's address where one is set.
        project: the Google Cloud project that is asked for.
    """

    name: str
    host: str
    project: str


_SOME_SERVICE = Service(name="Google Cloud", host="googleapis.com", project="-")

_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "jobRateLimitExceeded"})
_QUOTA_REASONS = _RATE_REASONS | {"quotaExceeded", "dailyLimitExceeded"}
_SWITCHED_OFF_REASONS = frozenset({"accessNotConfigured", "SERVICE_DISABLED", "billingNotEnabled"})
_PASSING_REASONS = frozenset({"backendError", "internalError", "jobBackendError", "jobInternalError"})

# The first row whose classes fit wins, so subclasses stand before their bases.
_CODES: tuple[tuple[tuple[type[Exception], ...], ErrorCode], ...] = (
    ((google.Aborted,), ErrorCode.UNAVAILABLE),
    ((google.Conflict,), ErrorCode.ALREADY_EXISTS),
    ((google.FailedPrecondition, google.PreconditionFailed), ErrorCode.FAILED_PRECONDITION),
    ((google.Forbidden, google.Unauthorized), ErrorCode.PERMISSION_DENIED),
    ((google.NotFound,), ErrorCode.NOT_FOUND),
    ((google.TooManyRequests,), ErrorCode.QUOTA_EXHAUSTED),
    ((google.GatewayTimeout, Timeout, TimeoutError), ErrorCode.DEADLINE_EXCEEDED),
    ((google.DataLoss,), ErrorCode.DATA_CORRUPTED),
    ((google.MethodNotImplemented,), ErrorCode.INTERNAL),
    ((google.ClientError,), ErrorCode.INVALID_ARGUMENT),
    ((google.ServerError, RequestException, ConnectionError, TransportError), ErrorCode.UNAVAILABLE),
    ((GoogleAuthError,), ErrorCode.PERMISSION_DENIED),
)

_TRANSIENT: Mapping[ErrorCode, float] = {  # code -> seconds to wait before the next try
    ErrorCode.UNAVAILABLE: 5.0,
    ErrorCode.DEADLINE_EXCEEDED: 5.0,
    ErrorCode.QUOTA_EXHAUSTED: 60.0,
    ErrorCode.DATA_CORRUPTED: 1.0,
}

_SENTENCES: Mapping[ErrorCode, str] = {
    ErrorCode.PERMISSION_DENIED: "Permission denied while {doing}: {advice}.",
    ErrorCode.NOT_FOUND: "Not found while {doing}: check the name and that project {project} is the right one.",
    ErrorCode.ALREADY_EXISTS: "It exists already ({doing}): use the existing one or choose another name.",
    ErrorCode.FAILED_PRECONDITION: "{name} refuses this as things are ({doing}): mend what it names and try again.",
    ErrorCode.INVALID_ARGUMENT: "{name} does not accept what was sent while {doing}: correct it as named here.",
    ErrorCode.QUOTA_EXHAUSTED: (
        "A quota of {name} is used up ({doing}): try again in a minute, or ask for more at "
        "https://console.cloud.google.com/iam-admin/quotas?project={project}."
    ),
    ErrorCode.UNAVAILABLE: (
        "{name} at {host} is unavailable ({doing}): check that it runs and that this machine reaches it, "
        "then try again."
    ),
    ErrorCode.DEADLINE_EXCEEDED: (
        "{name} at {host} did not answer in time ({doing}): check the network between here and there, "
        "then try again."
    ),
    ErrorCode.DATA_CORRUPTED: "{name} lost or damaged data on the way ({doing}): try again.",
    ErrorCode.INTERNAL: "{name} at {host} cannot do this ({doing}): report it, trying again does not help.",
}


@contextmanager
def translated(doing: str, service: Service = _SOME_SERVICE, grant: str | None = None) -> Iterator[None]:
    """Turn what Google's clients raise inside into a PermanentError or a TransientError.

    Args:
        doing: what we were doing, continuing "while ...", for example "creating dataset tenant_acme". Never a secret.
        service: which service was asked.
        grant: the command that grants the role this call needs.
    """
    try:
        with tracing.span(service.name, doing=doing):
            yield
    except google.RetryError as error:
        raise error_for(_cause_of(error), doing, service, grant) from error
    except (
        google.GoogleAPICallError,
        GoogleAuthError,
        RequestException,
        ConnectionError,
        TimeoutError,
    ) as error:
        raise error_for(error, doing, service, grant) from error


def _cause_of(error: google.RetryError) -> BaseException:
    """Why there was a retry at last; a query's retry has one for each of its requests inside."""
    cause: BaseException = error
    while isinstance(cause, google.RetryError):
        cause = cause.cause or TimeoutError()
    return cause


def error_for(
    error: BaseException, doing: str, service: Service = _SOME_SERVICE, grant: str | None = None
) -> ConvergenceError:
    """What one exception of Google's means to us."""
    code = _code_of(error)
    message = _SENTENCES[code].format(
        doing=doing,
        advice=_advice(error, grant),
        name=service.name,
        host=service.host,
        project=service.project,
    )
    says = _quote(error)
    details = {
        "service": service.name,
        "host": service.host,
        "reason": _reason(error) or type(error).__name__,
    }
    text = f"{message} {service.name} says: {says}" if says else message
    if code in _TRANSIENT:
        return TransientError(code, text, details, retry_after=_TRANSIENT[code])
    return PermanentError(code, text, details)


def _code_of(error: BaseException) -> ErrorCode:
    reason = _reason(error)
    if reason in _QUOTA_REASONS:
        return ErrorCode.QUOTA_EXHAUSTED
    if reason in _SWITCHED_OFF_REASONS:
        return ErrorCode.FAILED_PRECONDITION
    if reason in _PASSING_REASONS or _is_lost_race(error):
        return ErrorCode.UNAVAILABLE
    if isinstance(error, GoogleAuthError) and error.retryable:
        return ErrorCode.UNAVAILABLE
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return ErrorCode.INTERNAL


def may_pass(error: BaseException) -> bool:
    """Whether a BigQuery job that failed with this may succeed as it is: a lost race, a rate limit, a backend error."""
    return _reason(error) in _PASSING_REASONS | _RATE_REASONS or _is_lost_race(error)


def _is_lost_race(error: BaseException) -> bool:
    """Whether BigQuery gave way to another statement on the same table, which it says with 400."""
    return isinstance(error, google.BadRequest) and "concurrent update" in str(error.message).lower()


def _advice(error: BaseException, grant: str | None) -> str:
    if isinstance(error, google.Unauthorized | GoogleAuthError):
        return (
            "give this program credentials that Google accepts: `gcloud auth application-default login`, "
            "or GOOGLE_APPLICATION_CREDENTIALS with the path of a service account file"
        )
    if grant:
        return f"grant the missing role with `{grant}`"
    return "grant the permission named here to this program's service account"


def _reason(error: BaseException) -> str | None:
    """The word that REST errors carry in their list of errors, and gRPC errors in ErrorInfo."""
    if not isinstance(error, google.GoogleAPICallError):
        return None
    listed = error.errors
    if listed and isinstance(listed[0], Mapping):
        return str(listed[0].get("reason") or "") or None
    return str(error.reason or "") or None


def _quote(error: BaseException) -> str:
    """The first line of what Google says, as a sentence, without the URL in front of it; nothing of what we sent."""
    if not isinstance(error, google.GoogleAPICallError | GoogleAuthError):
        return ""
    text = str(getattr(error, "message", None) or error)
    first = text.strip().splitlines()[0] if text.strip() else ""
    _, marker, rest = first.partition("?prettyPrint=false: ")
    line = (rest if marker else first).partition("; reason: ")[0]
    if len(line) > _LONGEST_QUOTE:
        return f"{line[:_LONGEST_QUOTE]}..."
    return f"{line}." if line[-1:].isalnum() else line
