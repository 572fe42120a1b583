"""Requests and answers as Google's REST APIs write them.

What belongs here: path variables, query parameters and body made into the official request class, and messages made into
JSON. What an answer says is decided elsewhere.
"""

import json
import re
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc import status_pb2

from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.refusals import invalid
from convergence_orchestration.local_gcp.rest_routes import Match
from convergence_orchestration.local_gcp.rpc import Method

_OF_THE_SYSTEM = frozenset(
    {
        "$alt",
        "alt",
        "$.xgafv",
        "access_token",
        "callback",
        "fields",
        "key",
        "prettyPrint",
        "quotaUser",
        "$fields",
    }
)


def request_of(method: Method, match: Match, query: str, body: bytes) -> Any:  # noqa: ANN401 any request
    """The request that a verb, a path, a query and a body make.

    Raises:
        Refusal: INVALID_ARGUMENT, something in it is not of the request.
    """
    raw_type = messages.raw_type(method.request)
    content = _with_body(match.route.body, body)
    for name, value in [*_query(query), *match.variables.items()]:
        _put(content, raw_type.DESCRIPTOR, name, value)
    try:
        return messages.wrapped(method.request, json_format.ParseDict(content, raw_type()))
    except (json_format.ParseError, ValueError) as error:
        invalid(f"Invalid JSON payload received. {error}")


def json_of(answer: Any, query: str) -> bytes:  # noqa: ANN401 any response
    """A message as JSON; enums are numbers if the query asked for that (`$alt=json;enum-encoding=int`)."""
    as_numbers = "enum-encoding=int" in dict(parse_qsl(query)).get("$alt", "")
    content = json_format.MessageToDict(messages.raw(answer), use_integers_for_enums=as_numbers)
    return json.dumps(content, indent=2).encode()


def error_json(http_status: int, code: str, status: status_pb2.Status) -> bytes:
    """The body of a refusal."""
    content = json_format.MessageToDict(status)
    error = {
        "code": http_status,
        "message": status.message,
        "status": code,
        "details": content.get("details", []),
    }
    return json.dumps({"error": error}, indent=2).encode()


def _with_body(field: str | None, body: bytes) -> dict[str, Any]:
    if field is None or not body:
        return {}
    try:
        content = json.loads(body)
    except ValueError:
        invalid("Invalid JSON payload received. The body is no JSON.")
    if not isinstance(content, dict):
        invalid("Invalid JSON payload received. The body is no JSON object.")
    return content if field == "*" else {_camel(field): content}


def _query(query: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(name, value) for name, value in pairs if name not in _OF_THE_SYSTEM]


def _put(content: dict[str, Any], descriptor: Descriptor, name: str, value: str) -> None:
    *path, last = (_camel(step) for step in name.split("."))
    for step in path:
        descriptor = _field(descriptor, step).message_type
        content = content.setdefault(step, {})
    field = _field(descriptor, last)
    if field.is_repeated:
        content.setdefault(last, []).append(value)
    else:
        content[last] = _scalar(field, value)


def _field(descriptor: Descriptor | None, name: str) -> FieldDescriptor:
    fields = descriptor.fields_by_camelcase_name if descriptor else {}
    if name not in fields:
        invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter.')
    return fields[name]


def _scalar(field: FieldDescriptor, value: str) -> object:
    if field.type == FieldDescriptor.TYPE_BOOL and value in {"true", "false"}:
        return value == "true"
    if field.type == FieldDescriptor.TYPE_ENUM and value.isdecimal():
        return int(value)
    if field.message_type and field.message_type.full_name == "google.protobuf.FieldMask":
        return ",".join(_camel(path) for path in value.split(","))
    return value


def _camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)
