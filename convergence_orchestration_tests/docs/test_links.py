"""Every link of README.md and docs/ leads somewhere."""

from pathlib import Path

import pytest

from convergence_orchestration_tests.docs.pages import ROOT, Page, pages, parse, read

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.path.relative_to(ROOT)))
def test_every_relative_link_and_anchor_resolves(page: Page) -> None:
    broken = [f"{place}: {target}" for place, target in page.links() if not leads_somewhere(page, target)]

    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    by_path = {page.path: page for page in PAGES}
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in by_path and path not in reached:
            reached.add(path)
            waiting += [
                (path.parent / target.partition("#")[0]).resolve() for _, target in by_path[path].links()
            ]

    assert set(by_path) - reached == set()


def test_every_picture_is_shown_by_a_page() -> None:
    shown = {(page.path.parent / target).resolve() for page in PAGES for _, target in page.links()}

    assert {path for path in (ROOT / "docs/images").iterdir() if path not in shown} == set()


def test_a_broken_link_and_a_broken_anchor_are_found() -> None:
    text = "# A title, `code` and more\n[a](#a-title-code-and-more) [b](#nothing) [c](nowhere.md) `[d](no.md)`\n```\n[e](no.md)\n```\n"
    page = parse(ROOT / "docs" / "made-up.md", text)

    assert [target for _, target in page.links() if not leads_somewhere(page, target)] == [
        "#nothing",
        "nowhere.md",
    ]


def leads_somewhere(page: Page, target: str) -> bool:
    if target.startswith(("http://", "https://", "mailto:")):
        return True  # nobody is asked: tests run without a network
    name, _, anchor = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path
    if not (path == page.path or path.exists()):
        return False
    if not anchor:
        return True
    return anchor in (page if path == page.path else read(path)).anchors
