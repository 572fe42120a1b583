"""Answers that arrive damaged, for tests of the checks that a caller must make.

What belongs here: damaging one field of a message, named as in the faults file (`corrupt: payload.data_crc32c`).
"""

from typing import Any

from google.protobuf.message import Message

from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.refusals import invalid


def corrupt(answer: Any, field: str) -> None:  # noqa: ANN401 any message
    """Change one byte, number or truth value in the answer; a field of a field is written `payload.data`.

    Raises:
        Refusal: INVALID_ARGUMENT, the answer has no such field: a wrong faults file must not look like a success.
    """
    message = messages.raw(answer)
    *path, last = field.split(".")
    for step in path:
        message = _field(message, step)
    if not hasattr(message, last):
        invalid(f"The faults file corrupts {field}, which {message.DESCRIPTOR.full_name} does not have.")
    value = getattr(message, last)
    if isinstance(value, Message):
        message, last = value, "value"  # Int64Value, as all checksums are
        value = _field(message, last)
    setattr(message, last, _damaged(value))


def _field(message: Message, name: str) -> Any:  # noqa: ANN401 whatever the field holds
    if not hasattr(message, name):
        invalid(f"The faults file corrupts {name}, which {message.DESCRIPTOR.full_name} does not have.")
    return getattr(message, name)


def _damaged(value: Any) -> Any:  # noqa: ANN401 bytes, str, bool or int
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\x00"
    if isinstance(value, str):
        return f"{value}~"
    return not value if isinstance(value, bool) else value ^ 1
