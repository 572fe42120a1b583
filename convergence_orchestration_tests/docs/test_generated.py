"""The pages that scripts write are committed as the scripts write them."""

import runpy

import pytest

from convergence_orchestration.settings import Settings
from convergence_orchestration_tests.docs.pages import ROOT


@pytest.mark.parametrize("name", ["api", "settings"])
def test_the_committed_page_is_what_its_script_writes(name: str) -> None:
    script = f"scripts/write_{name}_reference.py"
    written = runpy.run_path(str(ROOT / script))["page"]()

    committed = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert committed == written, f"Run .venv/bin/python {script} and commit docs/{name}.md."


def test_every_setting_is_on_its_page_and_in_the_example() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    names = [name.upper() for name in Settings.model_fields]
    assert [name for name in names if f"| `{name}` |" not in page] == []
    assert [name for name in names if f"{name}=" not in example] == []
