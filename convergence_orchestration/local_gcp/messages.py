"""Google's messages, of both generations: proto-plus (KMS, Secret Manager) and plain protobuf (IAM, Empty).

What belongs here: what has to know the difference, so that nothing else does.
"""

from typing import Any, cast

import proto  # type: ignore[import-untyped]
from google.protobuf.message import Message

type AnyMessageType = type[Any]


def full_name(kind: AnyMessageType) -> str:
    """The message's name in its .proto file, such as `google.cloud.kms.v1.CryptoKey`."""
    return cast("str", raw_type(kind).DESCRIPTOR.full_name)


def raw_type(kind: AnyMessageType) -> Any:  # noqa: ANN401 a class that protobuf makes at run time
    """The plain protobuf class."""
    return kind.pb() if issubclass(kind, proto.Message) else kind


def raw(message: Any) -> Message:  # noqa: ANN401 of either generation
    """The plain protobuf message; changes to it are changes to `message`."""
    return cast("Message", type(message).pb(message) if isinstance(message, proto.Message) else message)


def wrapped(kind: AnyMessageType, message: Message) -> Any:  # noqa: ANN401 of the generation of `kind`
    """A plain protobuf message as an instance of `kind`."""
    return kind.wrap(message) if issubclass(kind, proto.Message) else message


def to_bytes(message: Any) -> bytes:  # noqa: ANN401 of either generation
    """The message as it travels."""
    return cast("bytes", raw(message).SerializeToString())


def from_bytes[M](kind: type[M], body: bytes) -> M:
    """The message of this kind from how it travels."""
    return cast("M", wrapped(kind, raw_type(kind).FromString(body)))
