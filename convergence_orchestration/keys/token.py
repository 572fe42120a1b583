"""The text of a key: how it is made, how its form is checked, what is kept of it.

`cvg_<dev|staging|prod>_<43 digits of base62: 256 random bits><6 digits of base62: CRC32 of all before>`, and
`cvgadm_...` for administrators. A mistyped or truncated key, or one of another environment, is refused by its form,
without a look-up; the patterns are published for secret scanners. Where keys are stored is not decided here.
"""

import re
import secrets
from enum import StrEnum
from hashlib import sha256
from zlib import crc32

from pydantic import SecretStr

from convergence_orchestration.keys.base62 import ALPHABET, encoded
from convergence_orchestration.settings import Environment

TENANT_KEY_PATTERN = r"cvg_(?:dev|staging|prod)_[0-9A-Za-z]{49}"
ADMIN_KEY_PATTERN = r"cvgadm_(?:dev|staging|prod)_[0-9A-Za-z]{49}"

_RANDOM_BYTES = 32
_RANDOM_DIGITS = 43
_CHECKSUM_DIGITS = 6


class KeyKind(StrEnum):
    """Whose key it is; the value is the text's first word."""

    TENANT = "cvg"
    ADMIN = "cvgadm"


_SHAPES = {
    (kind, environment): re.compile(rf"{kind}_{environment.short}_[0-9A-Za-z]{{49}}").fullmatch
    for kind in KeyKind
    for environment in Environment
}

LONGEST = 1 + max(
    len(f"{kind}_{environment.short}_") + _RANDOM_DIGITS + _CHECKSUM_DIGITS
    for kind in KeyKind
    for environment in Environment
)
"""So many characters decide: a text of as many or more is no key, and what follows them is not looked at."""

_PAIRS = tuple(first + second for first in ALPHABET for second in ALPHABET)
_PAIR = len(_PAIRS)


def generate_tenant_key(environment: Environment) -> SecretStr:
    """A fresh tenant's key for `environment`."""
    return _generated(KeyKind.TENANT, environment)


def generate_admin_key(environment: Environment) -> SecretStr:
    """A fresh administrators' key for `environment`."""
    return _generated(KeyKind.ADMIN, environment)


def is_well_formed(text: str, environment: Environment, kind: KeyKind = KeyKind.TENANT) -> bool:
    """`text` has the form of a key of this kind and environment, its checksum included.

    Takes any text, and the same steps for each: the checksum is compared also where the shape is wrong already.
    """
    start = text[:LONGEST]
    is_shaped = _SHAPES[kind, environment](start) is not None
    return (start[-_CHECKSUM_DIGITS:] == _checksum(start[:-_CHECKSUM_DIGITS])) and is_shaped


def hash_of(text: str) -> str:
    """What is kept of a key: SHA-256 in hexadecimal. 256 random bits need no salt and no slow hash."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _generated(kind: KeyKind, environment: Environment) -> SecretStr:
    return assembled(kind, environment, secrets.token_bytes(_RANDOM_BYTES))


def assembled(kind: KeyKind, environment: Environment, random: bytes) -> SecretStr:
    """The key whose 32 random bytes are `random`. For `generate_*` and for tests of the form."""
    body = f"{kind}_{environment.short}_{encoded(int.from_bytes(random), _RANDOM_DIGITS)}"
    return SecretStr(body + _checksum(body))


def _checksum(body: str) -> str:
    """CRC32 as six digits of base62, two at a time: this runs at every request."""
    rest, last = divmod(crc32(body.encode("utf-8", "surrogatepass")), _PAIR)
    first, middle = divmod(rest, _PAIR)
    return _PAIRS[first] + _PAIRS[middle] + _PAIRS[last]
