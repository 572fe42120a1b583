"""Writes docs/settings.md from `settings.py` and the command line.

    .venv/bin/python scripts/write_settings_reference.py

What belongs here: turning fields into Markdown. What each variable means is said beside it, in `settings.py` and in the options
of `cli/`.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import AnyHttpUrl, SecretStr
from pydantic.fields import FieldInfo

from convergence_orchestration.cli import app
from convergence_orchestration.settings import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_BOUNDS = {
    "ge": "at least {:g}",
    "gt": "above {:g}",
    "le": "at most {:g}",
    "min_length": "{:g} characters at least",
}
_TYPES: Mapping[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    SecretStr: "secret text",
}
_HEAD = """\
# Settings

*Written by `scripts/write_settings_reference.py` from `convergence_orchestration/settings.py`; do not edit it by hand.*

Every setting is an environment variable; a `.env` file in the working directory is read too, and the environment wins. An empty
variable counts as unset. A wrong value ends the program with status 2 and one sentence for each variable. Nothing has to be set on
one machine: `convergence up` says to its processes where the emulators are.
"""
_COMMAND_LINE = """\
## The command line

Variables that stand for an option of `convergence`; the option wins.
"""


def page() -> str:
    """The page as it has to be committed."""
    parts = [_HEAD]
    for title, names in _sections():
        parts.append(f"## {title}\n")
        parts.append("| variable | default | value | meaning |\n| --- | --- | --- | --- |")
        parts += [_setting(name, Settings.model_fields[name]) for name in names]
        parts.append("")
    parts += [_COMMAND_LINE, "| variable | option | commands | meaning |\n| --- | --- | --- | --- |"]
    parts += _command_line()
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name} is written.")


def _sections() -> Iterator[tuple[str, Sequence[str]]]:
    """The comments that head the groups of fields in `Settings`, each with its fields."""
    title, names = "", list[str]()
    for line in inspect.getsource(Settings).splitlines():
        if heading := re.fullmatch(r"    # ([A-Z].*)", line):
            if names:
                yield title, tuple(names)
            title, names = heading[1], []
        field = re.match(r"    (\w+): ", line)
        if field and field[1] in Settings.model_fields:
            names.append(field[1])
    yield title, tuple(names)


def _setting(name: str, field: FieldInfo) -> str:
    kind = " or ".join(_type(one) for one in _choices(field.annotation))
    bounds = [
        words.format(getattr(one, bound))
        for one in field.metadata
        for bound, words in _BOUNDS.items()
        if hasattr(one, bound)
    ]
    value = ", ".join([kind, *bounds])
    return _row(f"`{name.upper()}`", _default(field.default), value, field.description or "")


def _choices(annotation: object) -> list[object]:
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) in {None, Literal, tuple}:
        return [annotation]
    return [one for one in get_args(annotation) if one is not type(None)]


def _type(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "text, separated by commas"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return "URL" if annotation is AnyHttpUrl else _TYPES[annotation]


def _default(value: object) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _command_line() -> Iterator[str]:
    found: dict[str, tuple[str, str, set[str]]] = {}
    for command, option in _options(typer.main.get_command(app), ()):
        for variable in [option.envvar] if isinstance(option.envvar, str) else option.envvar or ():
            found.setdefault(variable, (option.opts[0], option.help or "", set()))[2].add(command)
    for variable, (option, meaning, commands) in sorted(found.items()):
        yield _row(f"`{variable}`", f"`{option}`", _shortened(commands), meaning)


def _options(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 Typer's, whose types are private
    for option in command.params:
        if getattr(option, "envvar", None):
            yield " ".join(words), option
    for name, below in getattr(command, "commands", {}).items():
        yield from _options(below, (*words, name))


def _shortened(commands: set[str]) -> str:
    groups = sorted({command.split(" ")[0] for command in commands})
    return ", ".join(f"`{group}`" for group in groups)


def _row(*cells: str) -> str:
    return (
        "| "
        + " | ".join(" ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;") for cell in cells)
        + " |"
    )


if __name__ == "__main__":
    main()
