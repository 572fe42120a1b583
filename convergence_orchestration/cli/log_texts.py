"""How a log line is printed: for a person, or as JSON for a program.

What belongs here: pure functions from a line to text.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convergence_orchestration.gcp.logs import LogLine

_IS_ITS_OWN = frozenset({"name", "exception"})
"""Fields that a person's line does not show as name=value."""


def text_of(line: "LogLine") -> str:
    """Time, severity, who, what; an exception's lines stand below, indented."""
    facts = "".join(
        f"  {name}={_value(value)}" for name, value in sorted(line.fields.items()) if name not in _IS_ITS_OWN
    )
    when = f"{line.timestamp:%m-%d %H:%M:%S}.{line.timestamp.microsecond // 1000:03d}"
    first = f"{when} {line.severity:<8} {line.source:>11} | {line.message}{facts}"
    exception = str(line.fields.get("exception", ""))
    return "\n".join([first, *(f"    {each}" for each in exception.splitlines())])


def json_of(line: "LogLine") -> str:
    """One JSON object in the guide's order, with the source as `source`; Cloud Logging keeps no order of the other fields."""
    return json.dumps(
        {
            "timestamp": line.timestamp.isoformat().replace("+00:00", "Z"),
            "severity": line.severity,
            "source": line.source,
            "msg": line.message,
            **{name: _whole(value) for name, value in sorted(line.fields.items())},
        },
        ensure_ascii=False,
    )


def _value(value: Any) -> str:  # noqa: ANN401 any JSON
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(_whole(value), ensure_ascii=False)


def _whole(value: Any) -> Any:  # noqa: ANN401 any JSON
    """Numbers that are whole without the point that Cloud Logging gives to all of them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value
