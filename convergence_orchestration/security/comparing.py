"""What was found beside what is declared.

What belongs here: pure functions.
"""

import hashlib
from collections.abc import Iterator, Sequence

from convergence_orchestration.security.model import Grant, Line, Looked, Place, Review, Verdict

_COMMANDS = {
    Place.PROJECT: "gcloud projects {verb}-iam-policy-binding {last}",
    Place.KEY: "gcloud kms keys {verb}-iam-policy-binding {last} --project={project} --location={location} --keyring={ring}",
    Place.SECRET: "gcloud secrets {verb}-iam-policy-binding {last} --project={project}",
    Place.SERVICE: "gcloud run services {verb}-iam-policy-binding {last} --project={project} --region={location}",
}


def compared(looked: Looked, declared: frozenset[Grant], tolerated: frozenset[str]) -> Iterator[Line]:
    """The lines about one resource; `tolerated` are the members found that may have any role."""
    if looked.grants is None:
        yield Line(looked.resource, "", "", Verdict.UNKNOWN, looked.why)
        return
    for grant in sorted(looked.grants | declared):
        if grant in looked.grants and grant in declared:
            yield _line(looked, grant, Verdict.DECLARED)
        elif grant in declared:
            yield _line(looked, grant, Verdict.MISSING, command(looked, grant, "add"))
        elif grant.member in tolerated:
            yield _line(looked, grant, Verdict.TOLERATED)
        else:
            yield _line(looked, grant, Verdict.UNEXPECTED, command(looked, grant, "remove"))


def command(looked: Looked, grant: Grant, verb: str) -> str:
    """The command that adds or removes a grant; for a dataset, what shows its access."""
    parts = looked.resource.split("/")
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    project, last = named.get("projects", ""), parts[-1]
    if looked.place is Place.DATASET:
        return (
            f"bq show --format=prettyjson {project}:{last}   # then bq update --source FILE {project}:{last}"
        )
    line = _COMMANDS[looked.place].format(
        verb=verb, last=last, project=project, location=named.get("locations"), ring=named.get("keyRings")
    )
    return f'{line} --member="{grant.member}" --role="{grant.role}"{_condition(grant)}'


def _condition(grant: Grant) -> str:
    if grant.condition:
        return f" --condition='expression={grant.condition},title=review'"
    # gcloud asks which one is meant as soon as the project has any binding with a condition
    return " --condition=None" if grant.place is Place.PROJECT else ""


def reviewed(environment: str, lines: Sequence[Line]) -> Review:
    """The review of these lines, differences first."""
    order = list(Verdict)
    placed = tuple(
        sorted(lines, key=lambda line: (order.index(line.verdict), line.subject, line.role, line.member))
    )
    text = "\n".join(f"{line.subject}|{line.role}|{line.member}|{line.verdict}" for line in placed)
    return Review(environment, placed, hashlib.sha256(text.encode()).hexdigest()[:16])


def _line(looked: Looked, grant: Grant, verdict: Verdict, cure: str = "") -> Line:
    note = f"if {grant.condition}" if grant.condition else ""
    return Line(looked.resource, grant.role, grant.member, verdict, note, cure)
