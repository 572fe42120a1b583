"""The pages about production: their commands have a form, their lists are whole, their numbers are somebody's."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

import pytest
import yaml
from typer.main import get_command

from convergence_orchestration.cli import app
from convergence_orchestration.gcp.addresses import addresses_of
from convergence_orchestration.gcp.resources import OP_OUTPUTS_PREFIX
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.specification import specification_of
from convergence_orchestration.settings import Environment, load_settings
from convergence_orchestration.warehouse.catalogue import tenant_tables
from convergence_orchestration_tests.deploy.files import DEPLOY, ROOT, pins, site, values
from scripts.write_roles import page_with, table

PRODUCTION = (ROOT / "docs" / "production.md").read_text("utf-8")
SCALING = (ROOT / "docs" / "scaling.md").read_text("utf-8")
TOOLS = {
    "gcloud",
    "kubectl",
    "helm",
    "git",
    "curl",
    "envsubst",
    "cp",
    "set",
    "export",
    ".venv/bin/convergence",
}


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def words_of(page: str) -> Iterator[list[str]]:
    """The words of each command of a page, those inside $(...) as commands of their own."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            for inner in re.findall(r"\$\(([^()]*(?:\([^()]*\))?[^()]*)\)", line):
                yield shlex.split(inner)
            plain = re.sub(r"\$\([^()]*(?:\([^()]*\))?[^()]*\)", "VALUE", line)
            for part in re.split(r"\s\|\s|;\s", plain):
                words = shlex.split(part, comments=True)
                if words and not re.match(r"^[A-Z_]+=", words[0]):
                    yield words


@pytest.mark.parametrize("words", words_of(PRODUCTION), ids=lambda words: " ".join(words)[:60])
def test_every_command_can_be_typed(words: list[str]) -> None:
    assert words[0] in {*TOOLS, ".", "openssl", "sh"}


@pytest.mark.parametrize(
    "words",
    [words for words in words_of(PRODUCTION) if words[0] == ".venv/bin/convergence"],
    ids=lambda words: " ".join(words)[:60],
)
def test_every_command_of_ours_has_the_options_that_are_named(words: list[str]) -> None:
    command, rest = get_command(app), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}

    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def test_every_variable_of_a_command_is_the_sites_or_set_before() -> None:
    text = "\n".join(blocks(PRODUCTION))
    used = set(re.findall(r"\$\{?([A-Z_]+)\}?", text))
    set_here = set(re.findall(r"^(?:export )?([A-Z_]+)=", text, re.MULTILINE))

    assert used <= set(site()) | set_here


def test_all_services_that_the_platform_asks_are_enabled() -> None:
    (line,) = [words for words in words_of(PRODUCTION) if words[:3] == ["gcloud", "services", "enable"]]

    assert {address.api for address in addresses_of(load_settings(_env_file=None))} <= set(line)


def test_the_chart_has_the_version_of_dagster() -> None:
    (line,) = [words for words in words_of(PRODUCTION) if words[:2] == ["helm", "upgrade"]]

    assert line[line.index("--version") + 1] == pins("requirements.lock")["dagster"]


def test_the_roles_on_the_page_are_the_reviews() -> None:
    assert page_with(PRODUCTION, table()) == PRODUCTION, "run scripts/write_roles.py"


def test_the_first_release_waives_the_whole_check_list() -> None:
    (line,) = [words for words in words_of(PRODUCTION) if words[1:3] == ["release", "deploy"]]
    waived = {word.partition("=")[0] for before, word in pairwise(line) if before == "--override"}

    assert waived == {item.value for item in specification_of(Environment.PRODUCTION).checklist} == set(Item)


def test_what_is_kept_in_the_bucket_goes_by_itself() -> None:
    rules = json.loads((DEPLOY / "bucket-lifecycle.json").read_text())["rule"]
    logs = values()["computeLogManager"]["config"]["gcsComputeLogManager"]["prefix"]

    prefixes = [prefix for rule in rules for prefix in rule["condition"]["matchesPrefix"]]
    assert set(prefixes) == {f"{logs}/", f"{OP_OUTPUTS_PREFIX}/"}


def test_cloud_build_is_told_of_a_dockerfile_that_is_there() -> None:
    (step,) = yaml.safe_load((DEPLOY / "cloudbuild.yaml").read_text())["steps"]

    assert (ROOT / step["args"][step["args"].index("--file") + 1]).is_file()


def test_measured_numbers_are_the_benchmarks() -> None:
    section = SCALING.partition("## Measured")[2].partition("\n\nSo ")[0]
    measured = re.findall(r"^\|.*\| ([0-9.,]+) ?[a-z]* \|$", section, re.MULTILINE)
    benchmarks = set(re.findall(r"[0-9][0-9.,]*[0-9]", (ROOT / "docs" / "benchmarks.md").read_text("utf-8")))

    assert len(measured) > 5
    assert [number for number in measured if number not in benchmarks] == []


def test_what_following_costs_is_what_was_decided() -> None:
    section = SCALING.partition("## What following costs")[2].partition("The bound is")[0]
    decided = (ROOT / "docs" / "decisions.md").read_text("utf-8")

    for number in ("2.16 million", "20.6 TiB", "129 dollars", "50 dollars", "4,800"):
        assert number in section
        assert number in decided


def test_the_settings_on_the_page_have_the_defaults_that_it_names() -> None:
    settings = load_settings(_env_file=None)

    for name, number in re.findall(r"([A-Z_]{8,}) \((\d+)\)", SCALING):
        assert getattr(settings, name.lower()) == int(number)
    assert f"({settings.bigquery_tables_per_second:g})" in SCALING
    assert len(tenant_tables()) == 5
    assert f"{specification_of(Environment.PRODUCTION).max_instances} (`releases" in SCALING
    queue = values()["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert f"{queue['maxConcurrentRuns']} at once (`maxConcurrentRuns`)" in SCALING


@pytest.mark.parametrize("page", [PRODUCTION, SCALING, (DEPLOY / "README.md").read_text("utf-8")])
def test_links_lead_somewhere(page: str) -> None:
    base = DEPLOY if page.startswith("# What production") else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (base / target).exists(), target
