"""Rules that many resources' fields share.

What belongs here: names, labels, checksums, update masks. Rules of one service stay with it.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

import google_crc32c
from google.protobuf.field_mask_pb2 import FieldMask

from convergence_orchestration.local_gcp import messages
from convergence_orchestration.local_gcp.refusals import invalid

_MAX_LABELS = 64
_MAX_LABEL_LENGTH = 63
_PROJECT = r"[a-z0-9][a-z0-9.:-]{0,62}"
_LOCATION = r"[a-z0-9-]{1,63}"


def name_pattern(template: str, **segments: str) -> re.Pattern[str]:
    """A pattern of names with a group for each segment: `projects/{project}/secrets/{secret}`, secret=`[a-z]+`."""
    known = {"project": _PROJECT, "location": _LOCATION, **segments}
    return re.compile(re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{known[found[1]]})", template))


def require_name(pattern: re.Pattern[str], name: str, field: str) -> re.Match[str]:
    """The parts of a name.

    Raises:
        Refusal: INVALID_ARGUMENT, it is no such name.
    """
    found = pattern.fullmatch(name)
    if found is None:
        invalid(f"Resource name [{name}] in field [{field}] is not of the form that it must have.")
    return found


def require_id(pattern: str, identifier: str, field: str) -> None:
    """Check the identifier that a new resource shall have.

    Raises:
        Refusal: INVALID_ARGUMENT, it does not fit.
    """
    if re.fullmatch(pattern, identifier) is None:
        invalid(f"{field} [{identifier}] must match {pattern}.")


def require_labels(labels: Mapping[str, str]) -> None:
    """Check keys and values of labels.

    Raises:
        Refusal: INVALID_ARGUMENT, one does not fit, or there are more than 64.
    """
    if len(labels) > _MAX_LABELS:
        invalid(f"No more than {_MAX_LABELS} labels can be assigned to a resource.")
    for key, value in labels.items():
        if not key or not _is_letter(key[0]) or not _is_label_text(key):
            invalid(
                f"Label key [{key}] must begin with a lower-case letter and have at most 63 letters, digits, _ and -."
            )
        if not _is_label_text(value):
            invalid(f"The value of label [{key}] must have at most 63 lower-case letters, digits, _ and -.")


def require_checksum(content: bytes, checksum: int | None, field: str) -> None:
    """Check what arrived against the checksum that came with it, if one came.

    Raises:
        Refusal: INVALID_ARGUMENT, they differ.
    """
    if checksum is not None and checksum != crc32c(content):
        invalid(f"The checksum in field {field}_crc32c did not match the data in field {field}.")


def require_size(content: bytes, limit: int, field: str) -> None:
    """Check how many bytes arrived.

    Raises:
        Refusal: INVALID_ARGUMENT, more than the limit.
    """
    if len(content) > limit:
        invalid(f"{field} has {len(content)} bytes; at most {limit} are allowed.")


def crc32c(content: bytes) -> int:
    """CRC32C (Castagnoli) as Google's APIs exchange it: an unsigned 32-bit number."""
    return int(google_crc32c.value(content))


def apply_mask(mask: FieldMask, source: Any, target: Any, allowed: Collection[str]) -> set[str]:  # noqa: ANN401
    """Copy the fields that the mask names from one message to another of its kind; the names.

    Raises:
        Refusal: INVALID_ARGUMENT, the mask is empty or names a field that may not be changed.
    """
    paths = set(mask.paths)
    if not paths:
        invalid("update_mask must name at least one field.")
    if wrong := sorted(path for path in paths if path not in allowed):
        invalid(
            f"update_mask names {', '.join(wrong)}; only these may be changed: {', '.join(sorted(allowed))}."
        )
    mask.MergeMessage(messages.raw(source), messages.raw(target), True, True)  # noqa: FBT003 replace, not merge
    return paths


def _is_letter(character: str) -> bool:
    return unicodedata.category(character) in {"Ll", "Lo"}


def _is_label_text(text: str) -> bool:
    characters = (_is_letter(c) or c in "_-" or unicodedata.category(c).startswith("N") for c in text)
    return len(text) <= _MAX_LABEL_LENGTH and all(characters)
