"""Asking Dagster's web server.

What belongs here: HTTP, and nothing of what the answer means.
"""

from importlib.resources import files
from typing import Any

import httpx

from convergence_orchestration.errors import ErrorCode, TransientError
from convergence_orchestration.exporting.model import DagsterState, state_of

_LOCATION = "convergence_orchestration"
_REPOSITORY = "__repository__"
_QUERY = files("convergence_orchestration.exporting").joinpath("state.graphql").read_text("utf-8")
_MOST_RUNS = 1000
_SECONDS = 8.0
"""Prometheus gives up after ten."""


class DagsterQuestions:
    """Asks the web server at `base_url`, which is an address of ours: no proxy stands before it."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=_SECONDS, trust_env=False)

    def ask(self, ended_since: float) -> DagsterState:
        """How Dagster is, with the runs that ended since then.

        Raises:
            TransientError: DAGSTER_UNAVAILABLE.
        """
        variables: dict[str, Any] = {
            "repository": {"repositoryLocationName": _LOCATION, "repositoryName": _REPOSITORY},
            "updatedAfter": ended_since,
            "limit": _MOST_RUNS,
        }
        try:
            response = self._http.post("/graphql", json={"query": _QUERY, "variables": variables})
            response.raise_for_status()
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise _unavailable(f"it did not answer ({type(error).__name__})") from None
        if not isinstance(answer, dict) or answer.get("errors") or not isinstance(answer.get("data"), dict):
            raise _unavailable("its GraphQL answer was an error")
        return state_of(answer["data"])

    def close(self) -> None:
        """Close its connections."""
        self._http.close()


def _unavailable(why: str) -> TransientError:
    return TransientError(ErrorCode.DAGSTER_UNAVAILABLE, f"Look after Dagster's web server: {why}.")
