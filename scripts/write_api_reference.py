"""Writes docs/api.md from the API's own OpenAPI document.

    .venv/bin/python scripts/write_api_reference.py

What belongs here: turning the document into Markdown. What the calls are is said in `convergence_orchestration/api/`; no
platform needs to run.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from convergence_orchestration.api.app import create_app
from convergence_orchestration.settings import load_settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
_FIRST_ERROR = "400"
_METHODS = ("get", "post", "put", "delete")
_TITLES = {
    "health": "Health checks",
    "administration": "Administration",
    "tenants": "Tenants",
    "keys": "Keys",
    "own tenant": "What a tenant's program calls",
}
_KEYS = {"AdminKey": "`X-Admin-Key`", "TenantKey": "`X-API-Key`"}
_HEAD = """\
# API

*Written by `scripts/write_api_reference.py` from the API's OpenAPI document; do not edit it by hand. The same, to try out, is at
`/docs` of a running API outside production.*

Administrators send their key as `X-Admin-Key`, tenants theirs as `X-API-Key`. A missing and a wrong administrators' key both get
403; a missing, unknown, revoked or expired tenant's key all get the same 401. Times are UTC, RFC 3339.
"""
_ERRORS = """\
## Errors

Every error is `{"error": {"code", "message", "request_id"}}`, see [ErrorBody](#errorbody); the first sentence of the message says
what to do.

| status | meaning |
| --- | --- |"""

type Json = Mapping[str, Any]


def page() -> str:
    """The page as it has to be committed."""
    document: Json = create_app(load_settings(_env_file=None)).openapi()
    calls = [
        (method, path, item[method])
        for path, item in document["paths"].items()
        for method in _METHODS
        if method in item
    ]
    parts = [_HEAD, *_overview(calls), _ERRORS, *_statuses(calls)]
    for tag, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [part for call in calls if call[2]["tags"][0] == tag for part in _call(*call)]
    parts += _bodies(document["components"]["schemas"])
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name} is written.")


def _overview(calls: list[tuple[str, str, Json]]) -> Iterator[str]:
    for tag, title in _TITLES.items():
        yield f"**{title}**\n"
        yield "| call | what |\n| --- | --- |"
        for method, path, operation in calls:
            if operation["tags"][0] == tag:
                heading = f"{method.upper()} {path}"
                yield f"| [`{heading}`](#{_anchor(heading)}) | {_cell(operation['summary'])} |"
        yield ""


def _statuses(calls: list[tuple[str, str, Json]]) -> Iterator[str]:
    """What each error status means, as every call says it that has it."""
    meanings: dict[str, str] = {}
    for _, _, operation in calls:
        for status, response in operation["responses"].items():
            if status >= _FIRST_ERROR and "content" in response:
                meanings.setdefault(status, response["description"].partition(" Codes:")[0])
    yield from (_row(status, meaning) for status, meaning in sorted(meanings.items()))
    yield ""


def _call(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    keys = [_KEYS[name] for need in operation.get("security", ()) for name in need]
    needs = f" Needs {' and '.join(keys)}." if keys else " Needs no key."
    summary = operation["summary"].rstrip(".")
    yield f"{summary}{'' if summary.endswith('?') else '.'} {operation.get('description', '').strip()}{needs}\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | in | type | default | meaning |\n| --- | --- | --- | --- | --- |"
        yield from (_parameter(one) for one in parameters)
        yield ""
    if body := operation.get("requestBody"):
        yield f"Body: {_content(body)}.\n"
    yield from _answers(operation["responses"])


def _parameter(one: Json) -> str:
    default = "required" if one.get("required") else _default(one["schema"])
    cells = (f"`{one['name']}`", one["in"], _type(one["schema"]), default, one.get("description", ""))
    return _row(*cells)


def _answers(responses: Json) -> Iterator[str]:
    """An answer that tells something as a line of its own; the errors, whose meaning is said once, in one line."""
    errors = []
    for status, response in responses.items():
        meaning, _, codes = response["description"].partition(" Codes: ")
        if codes:
            errors.append(f"{status} {codes.rstrip('.')}")
            continue
        content = _content(response) if response.get("content") and status < _FIRST_ERROR else ""
        told = " ".join(filter(None, (content, meaning.replace("Successful Response", ""))))
        yield f"- {status}: {told or 'done.'}"
    if errors:
        yield f"- Errors: {'; '.join(errors)}."
    yield ""


def _content(holder: Json) -> str:
    """What a body is; a type of its own names its table."""
    kind, content = next(iter(holder["content"].items()))
    schema = content.get("schema") or {}
    return _type(schema) if kind == "application/json" and schema else f"`{kind}`"


def _bodies(schemas: Json) -> Iterator[str]:
    yield "## Bodies\n"
    for name, schema in schemas.items():
        if name == "JsonValue":
            continue
        yield f"### {name}\n"
        if text := schema.get("description", "").split("\n\n")[0]:
            yield " ".join(text.split()) + "\n"
        if "enum" in schema:
            yield "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + ".\n"
        if properties := schema.get("properties"):
            yield "| field | type | default | meaning |\n| --- | --- | --- | --- |"
            required = schema.get("required", ())
            yield from (
                _field(field, one, is_required=field in required) for field, one in properties.items()
            )
            yield ""


def _field(name: str, one: Json, *, is_required: bool) -> str:
    return _row(f"`{name}`", _type(one), "" if is_required else _default(one), one.get("description", ""))


def _type(schema: Json) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "JSON" if name == "JsonValue" else f"[{name}](#{_anchor(name)})"
    if choices := schema.get("anyOf"):
        return " or ".join(_type(one) for one in choices)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        return f"object of {_type(values)}"
    form = schema.get("format", "")
    return str({"date-time": "time"}.get(form, form) or schema.get("type", "JSON"))


def _default(schema: Json) -> str:
    if "default" not in schema or schema["default"] is None:
        return ""
    value = schema["default"]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else ""


def _row(*cells: str) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    kept = "".join(one for one in heading.lower() if one.isalnum() or one in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    main()
