"""Writes the table of roles into docs/production.md anew: .venv/bin/python scripts/write_roles.py, after a baseline changed.

What belongs here: the table's form. Who shall have which role is in `security/baselines/`.
"""

import sys
from pathlib import Path

from convergence_orchestration.security.baseline import baseline_of
from convergence_orchestration.security.google_cloud import enforced, google_cloud
from convergence_orchestration.security.model import Grant, Place
from convergence_orchestration.settings import Environment, Settings

PAGE = Path(__file__).parents[1] / "docs" / "production.md"
BEGIN, END = "<!-- roles: scripts/write_roles.py -->\n", "<!-- end of roles -->\n"
_API, _DAGSTER = "api@x", "dagster@x"
_PEOPLE = {f"serviceAccount:{_API}": "the API", f"serviceAccount:{_DAGSTER}": "Dagster"}


def table() -> str:
    """Production's roles, in Markdown."""
    settings = Settings(
        _env_file=None,
        environment=Environment.PRODUCTION,
        service_account=_API,
        dagster_service_account=_DAGSTER,
    )
    baseline = baseline_of(Environment.PRODUCTION)
    grants = sorted(
        grant
        for place in Place
        for grant in baseline.declared(place, settings) | enforced(place, settings)
        if grant.member in _PEOPLE
    )
    lines = ["| on | who | role |", "| --- | --- | --- |"]
    lines += [f"| {grant.place} | {_PEOPLE[grant.member]} | {_role(grant)} |" for grant in grants]
    lines += [
        f"| {_place(one.command)} | {_who(one.member)} | `{one.role}` |" for one in google_cloud().further
    ]
    return "\n".join(("", *lines, "", ""))


def page_with(text: str, roles: str) -> str:
    """The page with this table between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{roles}{END}{rest.partition(END)[2]}"


def _role(grant: Grant) -> str:
    return f"`{grant.role}`" + (f" if `{grant.condition}`" if grant.condition else "")


def _who(member: str) -> str:
    names = {"serviceAccount:{dagster}": "Dagster"}
    return names.get(member, "the pods of Dagster")


def _place(command: str) -> str:
    if "buckets" in command:
        return "bucket"
    return "the API's account" if "{service_account}" in command else "Dagster's account"


def main() -> int:
    """0; the page has the table."""
    PAGE.write_text(page_with(PAGE.read_text("utf-8"), table()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
