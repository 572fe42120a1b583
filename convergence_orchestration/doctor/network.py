"""Whether every address answers, and what time it is there.

What belongs here: one short connection to each, and the pure judgements on what came of it.
"""

import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from convergence_orchestration.doctor.model import Area, Finding, Patient, State
from convergence_orchestration.gcp.addresses import Address

CONNECT_SECONDS = 5.0
MOST_SKEW_SECONDS = 10.0
"""Google refuses credentials whose clock is five minutes off; BigQuery's streams and our overlaps suffer before that."""
_PRIVATE_ACCESS = (
    "gcloud compute networks subnets update default --project={project} --region={region} "
    "--enable-private-ip-google-access"
)
_HALF_A_SECOND = 0.5  # a Date header is cut to whole seconds


class Reach(StrEnum):
    """What became of a connection."""

    ANSWERS = "answers"
    REFUSED = "refused"
    SILENT = "silent"
    NO_SUCH_HOST = "no such host"
    UNTRUSTED = "untrusted"
    BROKEN = "broken"


@dataclass(frozen=True)
class Seen:
    """One connection.

    Attributes:
        seconds: until it answered, or failed.
        ahead_seconds: how far the clock there is ahead of ours; None: it does not tell its time.
    """

    address: Address
    reach: Reach
    seconds: float
    detail: str = ""
    ahead_seconds: float | None = None

    @property
    def answers(self) -> bool:
        """Whether it can be asked further."""
        return self.reach is Reach.ANSWERS


def look(address: Address, clock: Callable[[], float] = time.time) -> Seen:
    """Connect, ask for the time where HTTP is spoken, and hang up; never an exception."""
    began, started = clock(), time.monotonic()
    try:
        date = _date_of(address)
        reach, detail = Reach.ANSWERS, ""
    except (OSError, http.client.HTTPException) as error:
        date, (reach, detail) = None, _what_happened(error)
    seconds = time.monotonic() - started
    ahead = None if date is None else date + _HALF_A_SECOND - (began + seconds / 2)
    return Seen(address, reach, seconds, detail, ahead)


def reachability(seen: Seen, patient: Patient) -> Finding:
    """Whether the address answers; how to mend it if not."""
    address = seen.address
    subject = f"{address.name} at {address.text}"
    if seen.answers:
        words = f"answers in {seen.seconds * 1000:.0f} ms"
        return Finding(Area.REACHABILITY, subject, State.OK, words)
    cause, cure = _cause_and_cure(seen, patient)
    return Finding(Area.REACHABILITY, subject, State.PROBLEM, cause, cure)


def clocks(all_seen: tuple[Seen, ...]) -> Iterator[Finding]:
    """How far our clock is off each host's; it is ours that is wrong if several agree, but that is for a person."""
    told = [seen for seen in all_seen if seen.ahead_seconds is not None]
    if not told:
        yield Finding(Area.CLOCKS, "this machine's clock", State.UNKNOWN, "no host answered with its time")
    for seen in told:
        ahead = seen.ahead_seconds or 0.0
        subject = f"clock of {seen.address.name} at {seen.address.text}"
        if abs(ahead) <= MOST_SKEW_SECONDS:
            yield Finding(Area.CLOCKS, subject, State.OK, f"{abs(ahead):.1f} s apart")
            continue
        way = "behind" if ahead > 0 else "ahead of"
        cause = (
            f"this machine's clock is {abs(ahead):.0f} s {way} it; credentials and keys end at wrong times"
        )
        yield Finding(Area.CLOCKS, subject, State.PROBLEM, cause, "sudo timedatectl set-ntp true")


def _date_of(address: Address) -> float | None:
    if not address.speaks_http:
        socket.create_connection((address.host, address.port), CONNECT_SECONDS).close()
        return None
    kind = http.client.HTTPConnection if address.is_emulator else http.client.HTTPSConnection
    connection = kind(address.host, address.port, timeout=CONNECT_SECONDS)
    try:
        connection.request("HEAD", "/")
        date = connection.getresponse().getheader("Date")
    finally:
        connection.close()
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _what_happened(error: Exception) -> tuple[Reach, str]:
    match error:
        case ssl.SSLError():
            return Reach.UNTRUSTED, getattr(error, "verify_message", "") or str(error.reason or error)
        case socket.gaierror():
            return Reach.NO_SUCH_HOST, error.strerror or ""
        case ConnectionRefusedError():
            return Reach.REFUSED, ""
        case TimeoutError():
            return Reach.SILENT, f"no answer within {CONNECT_SECONDS:g} s"
        case _:
            return Reach.BROKEN, f"{type(error).__name__}: {error}"


def _cause_and_cure(seen: Seen, patient: Patient) -> tuple[str, str]:
    address = seen.address
    if address.is_emulator:
        words = "nothing listens there" if seen.reach is Reach.REFUSED else f"{seen.reach}: {seen.detail}"
        return words, patient.command("up")
    match seen.reach:
        case Reach.NO_SUCH_HOST:
            return (
                f"this machine cannot find the host ({seen.detail}): no network, or a resolver that does not know it",
                f"getent hosts {address.host} || resolvectl status",
            )
        case Reach.UNTRUSTED:
            return (
                f"its certificate is not trusted ({seen.detail}): a proxy in between, or old root certificates",
                "sudo update-ca-certificates   # or export SSL_CERT_FILE=/path/of/the/proxy's/ca.pem",
            )
        case Reach.SILENT | Reach.REFUSED:
            region = patient.settings.run_region
            return (
                f"the way there is closed ({seen.detail or seen.reach}): a firewall, or a network without a way to Google",
                _PRIVATE_ACCESS.format(project=patient.settings.gcp_project_id, region=region),
            )
        case _:
            return f"the connection broke ({seen.detail})", f"curl -sv https://{address.host}/ -o /dev/null"
