"""Envoy's own administration, asked over HTTP on loopback.

What belongs here: the few questions and orders of the front door. What follows from the answers is decided elsewhere.
"""

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.local_gcp.front_door.bootstrap import ROUTES, STAT_PREFIX

_TIMEOUT_SECONDS = 2.0
_ACTIVE = re.compile(r"cluster\.(?P<revision>[^.]+)\.upstream_rq_(active|pending_active)")


class Subscription(StrEnum):
    """Which of its files Envoy speaks of, as in the names of its statistics."""

    CLUSTERS = "cluster_manager.cds"
    ROUTES = f"http.{STAT_PREFIX}.rds.{ROUTES}"


@dataclass(frozen=True)
class Taken:
    """What Envoy made of one file: the version that it serves, and how many it refused since it started."""

    version: str
    refusals: int


class EnvoyAdmin:
    """The administration of the Envoy that wrote its address into this file."""

    def __init__(self, address_file: Path) -> None:
        self._address_file = address_file

    def is_ready(self) -> bool:
        """Whether it serves with a first configuration."""
        try:
            return self._ask("GET", "/ready").strip() == b"LIVE"
        except TransientError:
            return False

    def taken(self, subscription: Subscription) -> Taken:
        """How far Envoy is with one of its files.

        Raises:
            TransientError: UNAVAILABLE, Envoy does not answer.
        """
        prefix = re.escape(subscription)
        names = f"^{prefix}\\.(version_text|update_rejected|update_failure)$"
        found = self._statistics(names)
        refusals = sum(int(found.get(f"{subscription}.update_{how}", 0)) for how in ("rejected", "failure"))
        return Taken(str(found.get(f"{subscription}.version_text", "")), refusals)

    def has_certificate(self, serial: int) -> bool:
        """Whether TLS is served with the certificate of this serial number.

        Raises:
            TransientError: UNAVAILABLE, Envoy does not answer.
        """
        served = json.loads(self._ask("GET", "/certs"))["certificates"]
        chains = [certificate for entry in served for certificate in entry.get("cert_chain", ())]
        return any(int(certificate["serial_number"], 16) == serial for certificate in chains)

    def under_way(self) -> Mapping[str, int]:
        """Requests under way or waiting, by revision.

        Raises:
            TransientError: UNAVAILABLE, Envoy does not answer.
        """
        counts: dict[str, int] = {}
        for name, value in self._statistics(r"^cluster\..*\.upstream_rq_(active|pending_active)$").items():
            if found := _ACTIVE.fullmatch(name):
                counts[found["revision"]] = counts.get(found["revision"], 0) + int(value)
        return counts

    def reopen_logs(self) -> None:
        """Have Envoy close the access log and open the file that has its name now.

        Raises:
            TransientError: UNAVAILABLE, Envoy does not answer.
        """
        self._ask("POST", "/reopen_logs")

    def _statistics(self, names: str) -> dict[str, Any]:
        query = names.replace("\\", "%5C").replace("^", "%5E").replace("|", "%7C").replace("$", "%24")
        body = json.loads(self._ask("GET", f"/stats?format=json&filter={query}"))
        return {entry["name"]: entry["value"] for entry in body["stats"] if "name" in entry}

    def _ask(self, verb: str, path: str) -> bytes:
        try:
            address = self._address_file.read_text(encoding="ascii")
            connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
            try:
                connection.request(verb, path)
                return connection.getresponse().read()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = "Wait until Envoy answers on its administration's port."
            raise TransientError(
                ErrorCode.UNAVAILABLE, message, {"error": type(error).__name__}, 0.1
            ) from None
