"""The pages that people read, README.md and docs/, taken apart: headings, links, shell blocks, commands in running text.

What belongs here: reading Markdown as far as our own pages use it. What is asked of the parts is said in the tests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
RUNNABLE = "runnable"
"""As a comment above a shell block, which GitHub does not show: the end-to-end test types the block."""

_FENCE = re.compile(r"^\s*```(\w*)\s*$")
_HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the comment in the line above; `line` is that of its fence."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One page; `prose` has its lines by number, without blocks."""

    path: Path
    prose: dict[int, str]
    blocks: tuple[Block, ...]

    @property
    def anchors(self) -> frozenset[str]:
        """What `#...` can name here, by GitHub's rule: lower case, no punctuation, repeated ones numbered."""
        found: list[str] = []
        for line in self.prose.values():
            if heading := _HEADING.match(line):
                anchor = _anchor(heading[2])
                earlier = sum(re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one) is not None for one in found)
                found.append(f"{anchor}-{earlier}" if earlier else anchor)
        return frozenset(found)

    def links(self) -> Iterator[tuple[str, str]]:
        """Each link and picture: its place and its target."""
        for number, line in self.prose.items():
            for target in _LINK.findall(_CODE.sub(lambda code: "`" * len(code[0]), line)):
                yield f"{self.path.relative_to(ROOT)}:{number}", target

    def code(self) -> Iterator[tuple[str, str]]:
        """Each piece of code in running text: its place and its text."""
        for number, line in self.prose.items():
            for text in _CODE.findall(line):
                yield f"{self.path.relative_to(ROOT)}:{number}", text


def pages() -> list[Page]:
    """README.md and everything below docs/."""
    return [read(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def read(path: Path) -> Page:
    """One page, taken apart."""
    return parse(path, path.read_text(encoding="utf-8"))


def parse(path: Path, text: str) -> Page:
    """A page with this text."""
    prose: dict[int, str] = {}
    blocks: list[Block] = []
    inside: list[str] | None = None
    language, began, mark = "", 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None:
            if fence:
                blocks.append(Block(path, began, language, dedent("\n".join(inside)), mark))
                inside = None
            else:
                inside.append(line)
        elif fence:
            inside, language, began = [], fence[1], number
            above = _COMMENT.fullmatch(prose.get(number - 1, "").strip())
            mark = above[1] if above else ""
        else:
            prose[number] = line
    assert inside is None, f"{path}: the block of line {began} has no end"
    return Page(path, prose, tuple(blocks))


def runnable_blocks() -> list[Block]:
    """What the end-to-end test types, page by page in the order in which a newcomer reads."""
    return [block for page in pages() for block in page.blocks if block.mark == RUNNABLE]


def _anchor(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", _COMMENT.sub("", heading)).replace("`", "")
    return "".join(one for one in plain.lower() if one.isalnum() or one in " -_").replace(" ", "-")
