"""The job `doctor`: the same examination as `convergence doctor`, where Dagster's runs are.

What belongs here: config, and what Dagster shows. Every cause and command is stored; none holds a secret.
"""

from pathlib import Path

import dagster as dg

from convergence_orchestration.doctor.model import Finding, Patient, State, has_problem
from convergence_orchestration.environment.resources import Environments
from convergence_orchestration.settings import load_settings


@dg.op(
    description="Looks at everything the platform stands on and names, for each problem, the command that mends it."
)
def examine_platform(context: dg.OpExecutionContext, environments: Environments) -> None:
    """One examination; a problem fails the run, so that nobody overlooks it."""
    from convergence_orchestration.doctor.examining import examine  # noqa: PLC0415 with Google's libraries

    del environments  # only so that the code location's settings are known to be readable
    settings = load_settings(admin_api_key=None)
    findings = examine(Patient(settings), Path(context.instance.root_directory))
    context.add_output_metadata({"findings": table_of(findings)})
    for finding in findings:
        if finding.state is not State.OK:
            context.log.warning("%s: %s. %s", finding.subject, finding.cause, finding.cure)
    if has_problem(findings):
        first = next(finding for finding in findings if finding.state is State.PROBLEM)
        raise dg.Failure(
            f"Mend {first.subject}: {first.cause}. {first.cure}",
            metadata={"findings": table_of(findings)},
            allow_retries=False,
        )


def table_of(findings: tuple[Finding, ...]) -> dg.TableMetadataValue:
    """The findings as Dagster shows them."""
    columns = ("area", "state", "subject", "cause", "cure")
    records = [dg.TableRecord({name: str(getattr(each, name)) for name in columns}) for each in findings]
    return dg.TableMetadataValue(
        records=records, schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in columns])
    )


@dg.job(
    name="doctor",
    description="Tests permissions, quotas, clocks, reachability, versions and configuration from where runs are executed.",
)
def doctor() -> None:
    """The one op, so that it can be launched by name."""
    examine_platform()


def doctor_jobs() -> list[dg.JobDefinition]:
    """What `definitions.py` merges."""
    return [doctor]
