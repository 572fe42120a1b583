"""Every call of a tenant needs a scope, also one that somebody adds tomorrow."""

from collections.abc import Iterator
from typing import Any

import pytest

from convergence_orchestration.api.app import create_app
from convergence_orchestration.settings import load_settings
from convergence_orchestration_tests.api.platform import Api, ControlPlane, KnownKey, assert_is_error

NEEDS_NONE = {("get", "/api/v1/tenants/me")}
"""Who am I, and what is my key for: whoever has a key may ask that."""


def tenants_calls() -> Iterator[tuple[str, str]]:
    """Method and path of each route that a tenant's key opens, as the application itself describes them."""
    paths: dict[str, dict[str, Any]] = create_app(load_settings(_env_file=None)).openapi()["paths"]
    for path, methods in paths.items():
        for method, described in methods.items():
            if {"TenantKey": []} in described.get("security", []):
                yield method, path


@pytest.fixture(scope="module")
def powerless(shared_api: Api, control_plane: ControlPlane) -> KnownKey:
    """A key without any scope."""
    return shared_api.known_key(control_plane.tenant(), scopes=())


def test_the_tenants_calls_are_found() -> None:
    found = set(tenants_calls())
    assert found >= NEEDS_NONE
    assert ("post", "/api/v1/tenants/me/pipeline-runs") in found
    assert all(path.startswith("/api/v1/tenants/me") for _, path in found)


def test_every_path_of_a_tenants_own_is_a_tenants_call() -> None:
    paths = create_app(load_settings(_env_file=None)).openapi()["paths"]
    own = {(method, path) for path in paths if "/tenants/me" in path for method in paths[path]}
    assert own == set(tenants_calls())


@pytest.mark.parametrize(("method", "path"), sorted(set(tenants_calls()) - NEEDS_NONE))
def test_a_key_without_scopes_may_do_nothing(api: Api, powerless: KnownKey, method: str, path: str) -> None:
    headers = {"X-API-Key": powerless["api_key"]}
    body: dict[str, Any] = {"json": {}} if method == "post" else {}
    answer = api.call(
        method.upper(), path.translate({ord("{"): None, ord("}"): None}), headers=headers, **body
    )

    error = assert_is_error(answer, 403, "forbidden")
    assert error["details"]["scope"]
