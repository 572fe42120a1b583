"""Every `convergence ...` that a page shows is one that `convergence` takes, and every make target and script is there."""

import re

import pytest

from convergence_orchestration_tests.docs.command_lines import commands_in, problem_with, written_out
from convergence_orchestration_tests.docs.pages import ROOT, Page, pages

PAGES = pages()
SHELL = {"bash", "sh", "console"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_every_command_of_a_shell_block_exists_with_its_options(page: Page) -> None:
    wrong = [
        f"{block.place}: convergence {' '.join(words)}: {problem}"
        for block in page.blocks
        if block.language in SHELL
        for words in commands_in(block.text)
        if (problem := problem_with(words))
    ]

    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_every_command_in_running_text_exists_with_its_options(page: Page) -> None:
    wrong = [
        f"{place}: {code}: {problem}"
        for place, code in page.code()
        if re.match(r"convergence [a-z]", code)
        for words in written_out(code)
        if (problem := problem_with(words))
        and not (
            problem.startswith("Missing") or problem.endswith("wants a command")  # a name may stand alone
        )
    ]

    assert wrong == []


def test_every_make_target_and_script_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wrong = []
    for page in PAGES:
        texts = [code for _, code in page.code()] + [block.text for block in page.blocks]
        for text in texts:
            wrong += [
                f"{page.path.name}: make {one}"
                for one in re.findall(r"^make ([a-z]+)", text, re.MULTILINE)
                if one not in targets
            ]
            wrong += [
                f"{page.path.name}: {one}"
                for one in re.findall(r"(?<![\w/])scripts/[\w.]+\w", text)
                if not (ROOT / one).exists()
            ]

    assert wrong == []


@pytest.mark.parametrize(
    ("shell", "problem"),
    [
        ("convergence status --json", None),
        ("convergence", "convergence wants a command"),
        ("convergence up --colour red", "No such option: --colour"),
        ("convergence tenants list", "convergence has no command tenants"),
        ('eval "$(convergence gcloud-env --nothing)"', "No such option: --nothing"),
        ("export K=$(.venv/bin/convergence admin-key)", None),
        ("convergence admin-key rotate ana | tee key", None),
        ("gcloud networks create convergence --mode=custom; API_URL=http://a convergence status", None),
        ("convergence tenant suspend", "Missing argument 'tenant_id'."),
        ("cat > a.csv <<'CSV'\nconvergence nonsense\nCSV\nconvergence tenant import a.csv", None),
        (
            "convergence release deploy --release v1 \\\n  --source . --override load_test='by hand' # and so on",
            None,
        ),
    ],
)
def test_the_parser_is_asked_about_each_command(shell: str, problem: str | None) -> None:
    (words,) = commands_in(shell)

    assert problem_with(words) == problem
