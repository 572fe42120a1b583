"""A suite's report as a JUnit file, which CI servers read.

What belongs here: the file's form.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

from convergence_orchestration.suites.model import Outcome, SuiteReport


def write(report: SuiteReport, file: Path) -> None:
    """Write it; the folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text_of(report), encoding="utf-8")


def text_of(report: SuiteReport) -> str:
    """The report as JUnit's XML."""
    counts = {outcome: sum(each.outcome is outcome for each in report.results) for outcome in Outcome}
    suite = ET.Element(
        "testsuite",
        name=report.suite,
        tests=str(len(report.results)),
        failures=str(counts[Outcome.FAILED]),
        errors=str(counts[Outcome.ERROR]),
        time=f"{sum(each.seconds for each in report.results):.3f}",
        timestamp=report.started_at.isoformat(),
        hostname=report.url,
    )
    for each in report.results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"suites.{report.suite}",
            name=f"{each.number:02d} {each.name}",
            time=f"{each.seconds:.3f}",
        )
        if each.outcome is not Outcome.PASSED:
            tag = "failure" if each.outcome is Outcome.FAILED else "error"
            ET.SubElement(case, tag, message=each.detail)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
