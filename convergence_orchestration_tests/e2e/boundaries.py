"""Every call that an onboarding changes something by, and the death of a process right before or behind it.

What belongs here: the boundaries as rules of the faults file, and what has to be true of a tenant in the end. Used by
`test_kill_matrix.py`, once each, and by `benchmarks/kill_matrix.py`, as often as it is told.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import httpx
import yaml

from convergence_orchestration.api.auth import ADMINISTRATOR
from convergence_orchestration.gcp.bigquery import BigQuery
from convergence_orchestration.local_gcp.faults import Victim
from convergence_orchestration.tenancy.asked import RequestKind
from convergence_orchestration.tenancy.model import TenantId, TenantState
from convergence_orchestration.tenancy.registry import Tenants
from convergence_orchestration.tenancy.request_model import (
    REQUEST_TRANSITIONS,
    RequestId,
    RequestState,
    request_id_of_key,
)
from convergence_orchestration.tenancy.requests import TenantRequests
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration.warehouse.model import tenant_dataset
from convergence_orchestration_tests.e2e.platform import PATIENCE, Platform

TABLES = [spec.name for spec in tenant_tables()]
ROWS = ("tenant_profiles", "tenant_subscriptions", "tenant_usage_quotas")
_RETRY_SECONDS = 0.2
_LOOK_SECONDS = 1.0
"""Each look is a query, which takes the emulator from those that are to recover."""
_DONE_SECONDS = 600
"""A request whose run is lost without a trace is launched again after two minutes."""


@dataclass(frozen=True)
class Boundary:
    """A call, by its verb and path and texts in its body, in which TENANT and REQUEST stand for the ids, and a moment."""

    name: str
    method: str
    body: tuple[str, ...]
    when: str

    def rule(self, tenant_id: str, request_id: str, victim: Victim) -> dict[str, object]:
        """The rule of the faults file that kills the victim there, once."""

        def filled(text: str) -> str:
            return text.replace("TENANT", tenant_id).replace("REQUEST", request_id)

        return {
            "method": filled(self.method),
            "body": [filled(text) for text in self.body],
            "kill": victim,
            "when": self.when,
            "times": 1,
        }


def boundaries(*names: str) -> list[Boundary]:
    """The boundaries before and behind each call of these names."""
    return [Boundary(name, *CALLS[name], when) for name in names for when in ("before", "after")]


_APPEND = "POST */tables/tenant_requests/insertAll"
CALLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "REQUESTED": (_APPEND, ("REQUEST.1.REQUESTED",)),
    "RUNNING": (_APPEND, ("REQUEST.1.RUNNING",)),
    "dataset": ("POST */datasets", ('"tenant_TENANT"',)),
    **{f"table {name}": ("POST */datasets/tenant_TENANT/tables", (f'"{name}"',)) for name in TABLES},
    "subscription": ("POST */jobs", ("MERGE tenants.tenant_subscriptions", '"TENANT"')),
    "quota": ("POST */jobs", ("MERGE tenants.tenant_usage_quotas", '"TENANT"')),
    "profile": ("POST */jobs", ("MERGE tenants.tenant_profiles", '"TENANT"')),
    "DONE": (_APPEND, ("REQUEST.DONE",)),
}
OF_THE_API = ("REQUESTED",)
OF_THE_RUN = tuple(name for name in CALLS if name not in OF_THE_API)


@dataclass(frozen=True)
class Trial:
    """One onboarding during which a process dies at a boundary."""

    boundary: Boundary
    tenant_id: TenantId

    @property
    def idempotency_key(self) -> str:
        """Makes the request's id known before it is sent."""
        return f"trial-{self.tenant_id}"

    @property
    def request_id(self) -> RequestId:
        """The request that the API makes of the key."""
        return request_id_of_key(RequestKind.ONBOARD, ADMINISTRATOR, self.idempotency_key)


def die(platform: Platform, trials: Sequence[Trial], victim: Victim) -> None:
    """Ask for all of the tenants at once, at each of whose boundaries a process dies, and wait until they are ACTIVE."""
    write_rules(platform, trials, victim)
    for trial in trials:
        ask(platform, trial)
    wait_until_done(platform, trials)
    platform.faults_file.unlink()


def write_rules(platform: Platform, trials: Sequence[Trial], victim: Victim) -> None:
    rules = [trial.boundary.rule(trial.tenant_id, trial.request_id, victim) for trial in trials]
    platform.faults_file.write_text(yaml.safe_dump(rules), encoding="utf-8")


def ask(platform: Platform, trial: Trial) -> None:
    """POST the tenant and do not wait; again with the same Idempotency-Key if the API dies before it answers."""

    def is_accepted() -> bool:
        try:
            answer = platform.admin(
                "POST",
                "/tenants",
                {"tenant_id": trial.tenant_id},
                **{"Prefer": "respond-async", "Idempotency-Key": trial.idempotency_key},
            )
        except httpx.TransportError:
            return False
        assert answer.status_code in {200, 202, 503}, answer.text
        return answer.status_code != httpx.codes.SERVICE_UNAVAILABLE

    eventually(is_accepted, f"{trial.tenant_id} is accepted")


def wait_until_done(platform: Platform, trials: Sequence[Trial]) -> None:
    requests = TenantRequests(BigQuery(platform.bigquery()))
    deadline = time.monotonic() + _DONE_SECONDS
    while open_ones := not_done(requests, trials):
        assert time.monotonic() < deadline, f"not DONE within {_DONE_SECONDS} s: {open_ones}"
        time.sleep(_LOOK_SECONDS)


def not_done(requests: TenantRequests, trials: Sequence[Trial]) -> list[str]:
    """What is not DONE yet, and how it is."""
    wanted = {
        trial.request_id: f"{trial.tenant_id} ({trial.boundary.when} {trial.boundary.name})"
        for trial in trials
    }
    known = requests.get_all(list(wanted))
    written = {request.request_id for request in known}
    return [
        *(f"{trial}: not written down" for request_id, trial in wanted.items() if request_id not in written),
        *(
            f"{wanted[request.request_id]}: {request.state}, attempt {request.attempt}, run {request.run_id}, {request.reason}"
            for request in known
            if request.state is not RequestState.DONE
        ),
    ]


def what_is_wrong(platform: Platform, trials: Sequence[Trial]) -> list[str]:
    """Whatever is lost or double, a sentence each: one dataset, one set of tables, one row each, one request DONE."""
    client = platform.bigquery()
    bigquery = BigQuery(client)
    tenants = Tenants(bigquery).get_all([trial.tenant_id for trial in trials])
    rows = {
        table: Counter(row["tenant_id"] for row in client.list_rows(f"tenants.{table}")) for table in ROWS
    }
    found: list[str] = []
    for trial in trials:
        name = f"{trial.boundary.when} {trial.boundary.name}"
        dataset = bigquery.get_dataset(tenant_dataset(trial.tenant_id))
        if dataset is None or dataset.labels.get("request_id") != trial.request_id:
            found.append(f"{name}: the dataset is not the request's")
        elif bigquery.list_tables(tenant_dataset(trial.tenant_id)) != TABLES:
            found.append(f"{name}: the tables are others")
        tenant = tenants.get(trial.tenant_id)
        if tenant is None or (tenant.state, tenant.request_id) != (TenantState.ACTIVE, trial.request_id):
            found.append(f"{name}: the tenant is not ACTIVE")
        found += [
            f"{name}: {counted[trial.tenant_id]} rows in {table}"
            for table, counted in rows.items()
            if counted[trial.tenant_id] != 1
        ]
        found += [f"{name}: {wrong}" for wrong in _wrong_history(bigquery, trial)]
    return found


def _wrong_history(bigquery: BigQuery, trial: Trial) -> list[str]:
    states = [event.state for event in TenantRequests(bigquery).events(trial.request_id)]
    found = [
        f"{before} was followed by {after}"
        for before, after in pairwise(states)
        if after not in REQUEST_TRANSITIONS[before]
    ]
    if states.count(RequestState.DONE) != 1 or states[-1:] != [RequestState.DONE]:
        found.append(f"its events are {states}")
    return found


def eventually(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(_RETRY_SECONDS)
