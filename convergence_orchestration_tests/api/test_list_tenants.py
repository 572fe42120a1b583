import pytest

from convergence_orchestration_tests.api.platform import Api, ControlPlane, assert_is_error


def test_a_tenant_that_was_made_is_listed_and_looked_at(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()

    one = api.admin("GET", f"/tenants/{tenant_id}")
    listed = api.admin("GET", f"/tenants?after={tenant_id[:-1]}").json()

    assert one.status_code == 200
    assert one.json()["state"] == "ACTIVE"
    assert one.json()["dataset_id"] == f"tenant_{tenant_id}"
    assert one.json() in listed["tenants"]


def test_pages_of_tenants_follow_each_other_by_id(api: Api, control_plane: ControlPlane) -> None:
    made = {control_plane.tenant(), control_plane.tenant(), control_plane.tenant()}

    found: list[str] = []
    after = ""
    while True:
        page = api.admin("GET", f"/tenants?limit=200{after}").json()
        found += [tenant["tenant_id"] for tenant in page["tenants"]]
        if page["next_after"] is None:
            break
        assert page["next_after"] == found[-1]
        after = f"&after={found[-1]}"

    assert found == sorted(set(found))
    assert made <= set(found)


@pytest.mark.parametrize("tenant_id", ["never_made", "Not-An-Id", "tenants", "%2e%2e"])
def test_a_tenant_that_is_not_there_gets_404(api: Api, tenant_id: str) -> None:
    assert_is_error(api.admin("GET", f"/tenants/{tenant_id}"), 404, "tenant_not_found")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=many", "after=" + "a" * 51, "state=GONE", "plan=GOLD"]
)
def test_a_page_that_cannot_be_gets_422(api: Api, query: str) -> None:
    error = assert_is_error(api.admin("GET", f"/tenants?{query}"), 422, "invalid_argument")

    assert error["details"][0]["field"] == query.partition("=")[0]


def test_tenants_are_filtered_by_state_plan_and_part_of_a_name(api: Api, control_plane: ControlPlane) -> None:
    first = control_plane.tenant()

    def found(query: str) -> list[str]:
        page = api.admin("GET", f"/tenants?limit=200&{query}").json()
        return [tenant["tenant_id"] for tenant in page["tenants"]]

    assert found(f"search={first[2:].upper()}&state=ACTIVE&plan=STARTER") == [first]
    assert found(f"search={first}&state=SUSPENDED") == []
    assert found(f"search={first}&plan=SCALE") == []


def test_a_profile_shows_why_and_until_when(api: Api, control_plane: ControlPlane) -> None:
    tenant_id = control_plane.tenant()
    api.admin("DELETE", f"/tenants/{tenant_id}?confirm={tenant_id}&reason=they%20left&retention_days=7")

    facts = api.admin("GET", f"/tenants/{tenant_id}").json()

    assert (facts["state"], facts["state_reason"], facts["principal"]) == ("OFFBOARDING", "they left", "")
    assert facts["delete_after"] > facts["updated_at"]
