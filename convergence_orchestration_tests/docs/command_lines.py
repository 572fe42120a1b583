"""Command lines of the pages, put to `convergence`'s own parser without running anything.

What belongs here: finding the `convergence` commands in shell text, and asking the parser.
"""

import re
import shlex
from collections.abc import Iterator
from itertools import product
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from convergence_orchestration.cli import app

COMMAND: Any = typer.main.get_command(app)
_NAMES = frozenset({"convergence", ".venv/bin/convergence", "./.venv/bin/convergence"})
_ENDS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", "<<", "(", ")"})
_HERE_DOCUMENT = re.compile(r"<<-?\s*'?(\w+)'?\n.*?^\1$", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"^\w+=")
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")


def commands_in(shell: str) -> Iterator[list[str]]:
    """The words behind each `convergence` of a shell text, also of those within `$(...)`."""
    text = _HERE_DOCUMENT.sub("", shell.replace("\\\n", " "))
    for inner in _SUBSTITUTION.findall(text):
        yield from commands_in(inner)
    for line in _SUBSTITUTION.sub("SUBSTITUTED", text).splitlines():
        yield from _of_line(line)


def written_out(code: str) -> list[list[str]]:
    """What is meant by a command in running text: `a|b` is either, `[--x Y]` may be left out, N is a number."""
    optional = [code, re.sub(r"\[[^\]]*\]", "", code)] if "[" in code else [code]
    alternatives = []
    for text in optional:
        words = shlex.split(text.replace("[", " ").replace("]", " "))
        alternatives += [list(choice) for choice in product(*(word.split("|") for word in words))]
    return [["1" if word == "N" else word for word in words[1:]] for words in alternatives]


def problem_with(words: list[str]) -> str | None:
    """Why the parser would refuse these words; None if it takes them."""
    command, rest, path = COMMAND, words, "convergence"
    while isinstance(command, TyperGroup):
        if not rest:
            return None if command.invoke_without_command else f"{path} wants a command"
        if rest[0].startswith("-"):
            known = {name for option in command.params for name in option.opts} | {"--help"}
            return None if rest[0] in known else f"No such option: {rest[0]}"
        if rest[0] not in command.commands:
            return f"{path} has no command {rest[0]}"
        command, path, rest = command.commands[rest[0]], f"{path} {rest[0]}", rest[1:]
    return _refusal(command, rest)


def _refusal(command: Any, words: list[str]) -> str | None:
    """What the parser says to the words of one command; files that are named need not be there."""
    try:
        command.make_context(command.name, list(words))
    except typer.Exit:  # --help
        return None
    except typer.BadParameter as error:
        message = error.format_message()
        return None if message.endswith("does not exist.") else message
    except TyperException as error:
        return str(error)
    return None


def _of_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    command: list[str] = []
    for token in [*lexer, ";"]:
        if token not in _ENDS:
            command.append(token)
            continue
        while command and _ASSIGNMENT.match(command[0]):
            command.pop(0)
        if command and command[0] in _NAMES:
            yield command[1:]
        command = []
