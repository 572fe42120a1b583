"""The local suite: the guide's ten tests of a platform on this machine.

What belongs here: what each test expects. They make tenants of their own and take them away again.
"""

import hashlib
from http import HTTPStatus

from convergence_orchestration.suites import shared
from convergence_orchestration.suites.model import Case, expect
from convergence_orchestration.suites.visiting import Visit, body_of, expect_error, shown
from convergence_orchestration.warehouse.catalogue import central_tables, tenant_tables
from convergence_orchestration.warehouse.found import googlesql_name

_WRONG_KEY = "admin_wrong_key_of_the_suite"


def bootstrap(visit: Visit) -> None:
    """Bootstrapping again recreates nothing and finds every central table."""
    answer = visit.admin(
        "POST", "/bootstrap", {"force_recreate_dataset": False, "force_recreate_tables": False}
    )
    body = body_of(answer)
    expect(answer.status_code == HTTPStatus.OK, f"Bootstrapping got {shown(answer)}")
    expect(body.get("status") == "SUCCESS", f"It does not say SUCCESS: {shown(answer)}")
    there = {*body.get("tables_created", ()), *body.get("tables_existed", ())}
    declared = {table.name for table in central_tables()}
    expect(there == declared, f"These tables are missing or too many: {sorted(there ^ declared)}.")
    expect(body.get("total_tables") == len(declared), f"total_tables is {body.get('total_tables')}.")


def create_tenant(visit: Visit) -> None:
    """A tenant is ACTIVE with its dataset and tables when the call is answered."""
    answer = visit.create(visit.new_tenant_id())
    body = body_of(answer)
    expect(answer.status_code == HTTPStatus.OK, f"Creating a tenant got {shown(answer)}")
    expect(body.get("state") == "ACTIVE", f"The tenant is {body.get('state')}.")
    created, declared = set(body.get("tables_created", ())), {table.name for table in tenant_tables()}
    expect(created == declared, f"These tables are missing or too many: {sorted(created ^ declared)}.")


def get_tenant(visit: Visit) -> None:
    """The tenant that was made is told as it was asked for, and an unknown one is not there."""
    tenant = visit.tenant
    answer = visit.admin("GET", f"/tenants/{tenant.tenant_id}")
    expect(answer.status_code == HTTPStatus.OK, f"Looking at the tenant got {shown(answer)}")
    wanted = {"tenant_id": tenant.tenant_id, "state": "ACTIVE", "company_name": "Acceptance suite"}
    found = {name: body_of(answer).get(name) for name in wanted}
    expect(found == wanted, f"The tenant is told as {found}.")
    expect_error(visit.admin("GET", "/tenants/suite_nobody"), HTTPStatus.NOT_FOUND, "An unknown tenant")


def tenant_key(visit: Visit) -> None:
    """A key is issued, its hash is the one that is kept, and it says who the tenant is."""
    tenant = visit.tenant
    key = str(tenant.issued["api_key"])
    expect(
        hashlib.sha256(key.encode()).hexdigest() == tenant.issued.get("tenant_api_key_hash"),
        "The hash that was answered is not the key's.",
    )
    me = visit.as_soon_as(HTTPStatus.OK, "/api/v1/tenants/me", tenant.headers)
    expect(me.status_code == HTTPStatus.OK, f"The fresh key got {me.status_code}.")
    expect(body_of(me).get("tenant_id") == tenant.tenant_id, "The key belongs to another tenant.")


def invalid_admin_key(visit: Visit) -> None:
    """A wrong administrators' key is refused."""
    answer = visit.get("/api/v1/admin/tenants", {"X-Admin-Key": _WRONG_KEY})
    expect_error(answer, HTTPStatus.FORBIDDEN, "A wrong administrators' key")


def missing_admin_key(visit: Visit) -> None:
    """Without the administrators' key nothing is done."""
    tenant_id = visit.new_tenant_id()
    answer = visit.call("POST", "/api/v1/admin/tenants", json={"tenant_id": tenant_id})
    expect_error(answer, HTTPStatus.FORBIDDEN, "A call without the administrators' key")
    looked = visit.admin("GET", f"/tenants/{tenant_id}")
    expect(
        looked.status_code == HTTPStatus.NOT_FOUND, "A call without the administrators' key made a tenant."
    )


def schema_consistency(visit: Visit) -> None:
    """The tenant's tables have the columns that the catalogue declares."""
    tenant = visit.tenant
    answer = visit.as_soon_as(HTTPStatus.OK, "/api/v1/tenants/me/tables", tenant.headers)
    expect(answer.status_code == HTTPStatus.OK, f"Looking at the tables got {shown(answer)}")
    found = {
        table["name"]: {column["name"]: googlesql_name(column["type"]) for column in table["columns"]}
        for table in body_of(answer).get("tables", ())
    }
    for declared in tenant_tables():
        expect(declared.name in found, f"Table {declared.name} is missing.")
        wanted = {column.name: column.type for column in declared.columns}
        differing = sorted({name for name, _ in found[declared.name].items() ^ wanted.items()})
        expect(not differing, f"Table {declared.name} differs in {', '.join(differing)}.")


CASES = (
    Case(1, "Health check", shared.health),
    Case(2, "Bootstrap system", bootstrap),
    Case(3, "Create tenant", create_tenant),
    Case(4, "Get tenant info", get_tenant),
    Case(5, "Generate tenant API key", tenant_key),
    Case(6, "Invalid admin key rejected", invalid_admin_key),
    Case(7, "Missing admin key rejected", missing_admin_key),
    Case(8, "API versioning", shared.versioning),
    Case(9, "Rate limiting", shared.rate_limiting),
    Case(10, "Schema consistency", schema_consistency),
)
