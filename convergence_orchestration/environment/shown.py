"""What Dagster and the command line show of a prepared environment and of administrators' keys. Never a key.

What belongs here: facts as text, without Dagster.
"""

from convergence_orchestration.environment.model import Prepared
from convergence_orchestration.keys.admins.model import Retirement, Verdict
from convergence_orchestration.keys.admins.upkeep import Kept


def sentence(prepared: Prepared) -> str:
    """One line about one thing."""
    changes = "".join(f" {each.what}: {each.found} -> {each.declared}." for each in prepared.changed)
    return f"{prepared.name} {prepared.action}.{changes} {prepared.note}"


def verdict_facts(verdict: Verdict) -> dict[str, str]:
    """Which version a key is, when it was made and when it is due."""
    return {
        "state": verdict.state.value,
        "version": str(verdict.number or "none"),
        "created": verdict.created_at.isoformat(timespec="seconds") if verdict.created_at else "",
        "due": verdict.due_at.isoformat(timespec="seconds") if verdict.due_at else "",
    }


def kept_facts(kept: Kept) -> dict[str, str]:
    """How an administrator's key stands, and what was done."""
    done = [*(["rotated"] if kept.rotated else []), *retired_words(kept.retired)]
    return {
        "administrator": kept.name,
        **verdict_facts(kept.verdict),
        "done": ", ".join(done) or "nothing",
        "trouble": kept.trouble,
    }


def retired_words(retired: Retirement) -> list[str]:
    """What was done to older versions."""
    return [
        *(f"disabled version {number}" for number in retired.disable),
        *(f"destroyed version {number}" for number in retired.destroy),
    ]
