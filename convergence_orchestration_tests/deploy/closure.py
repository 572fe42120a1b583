"""Tells what modules of ours would need that is not installed: python closure.py ROOT MODULE... LEFT_OUT. ...

Reads each module and each of ours that one of them imports anywhere, also inside a function, but for those below what ends in a
dot; prints as JSON which of others' they import and this Python cannot find, each with one who wants it. It imports none of
them, and of the standard library alone, for it runs in an environment that has nothing of the tests'.
"""

import ast
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

OURS = "convergence_orchestration"
_DEPTH = {"google": 3}
"""How many parts of a name decide which package it is of; one but for those that share a name."""


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The modules that this code names in imports, but for those only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.startswith(OURS) or node.module == "google.cloud":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports_of(node)


def is_there(name: str) -> bool:
    """Whether the package that a name is of can be found."""
    parts = name.split(".")
    try:
        return find_spec(".".join(parts[: _DEPTH.get(parts[0], 1)])) is not None
    except ModuleNotFoundError:
        return False


def source_of(root: Path, name: str) -> Path | None:
    """The file of a module of ours; None for what is no module but a name in one."""
    path = root.joinpath(*name.split("."))
    found = (path / "__init__.py", path.with_suffix(".py"))
    return next((one for one in found if one.is_file()), None)


def missing(root: Path, roots: list[str], left_out: tuple[str, ...]) -> dict[str, str]:
    """What cannot be found, and who wants it."""
    waiting, seen, absent = list(roots), set(roots), dict[str, str]()
    while waiting:
        name = waiting.pop()
        source = source_of(root, name)
        if source is None:
            continue
        for wanted in sorted(set(imports_of(ast.parse(source.read_text("utf-8")))) - seen):
            seen.add(wanted)
            if wanted.startswith(OURS):
                waiting += [] if wanted.startswith(left_out) else [wanted]
            elif not is_there(wanted):
                absent[wanted] = name
    return absent


if __name__ == "__main__":
    named = sys.argv[2:]
    leave = tuple(word for word in named if word.endswith("."))
    found = missing(Path(sys.argv[1]), [word for word in named if not word.endswith(".")], leave)
    sys.stdout.write(json.dumps(found))
