"""Tells what modules would need that is not installed: python closure.py MODULE... ALSO_LEAVE_OUT_BY_PREFIX=...

Imports each, and each of ours that one of them imports anywhere, also inside a function; prints as JSON what these import of
others' and cannot find, what of ours failed, and whether anything of Dagster was loaded. It runs in an environment that has
nothing of the tests', so it imports the standard library alone.
"""

import ast
import importlib
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

OURS = "convergence_orchestration"


def imports_of(tree: ast.AST) -> Iterator[str]:
    """The modules that this code names in imports, but for those only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith(OURS))
        else:
            yield from imports_of(node)


def is_there(name: str) -> bool:
    """Whether a module, or what holds the name, can be found."""
    try:
        return find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def main(roots: list[str], left_out: tuple[str, ...]) -> dict[str, object]:
    """What is missing, by who wants it."""
    waiting, seen, missing = list(roots), set(roots), dict[str, list[str]]()
    while waiting:
        name = waiting.pop()
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing.setdefault(str(error.name), []).append(name)
            continue
        for wanted in set(imports_of(ast.parse(Path(str(module.__file__)).read_text("utf-8")))):
            if wanted in seen or wanted.startswith(left_out):
                continue
            if not wanted.startswith(OURS):
                if not is_there(wanted):
                    missing.setdefault(wanted, []).append(name)
            elif is_there(wanted):
                seen.add(wanted)
                waiting.append(wanted)
    loaded = sorted(module for module in sys.modules if module.startswith("dagster"))
    return {"missing": missing, "of_dagster": loaded, "ours": len(seen)}


if __name__ == "__main__":
    leave = tuple(word for word in sys.argv[1:] if word.endswith("."))
    sys.stdout.write(
        json.dumps(main([word for word in sys.argv[1:] if not word.endswith(".")], leave or ("\0",)))
    )
