"""Ciphertexts: AES-256-GCM behind a header that names the version.

What belongs here: bytes in, bytes out. Which version may be used is decided in `service.py`.

A ciphertext is: 4 bytes that mark the format, 8 bytes of the key's name's hash, 4 bytes of the version's number, a nonce of 12
bytes, and what AES-GCM made of the plaintext. The header and the caller's additional data are authenticated with it.
"""

import os
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from convergence_orchestration.local_gcp.refusals import invalid

_FORMAT = b"\x0acv\x01"
_KEY_HASH_BYTES = 8
_HEADER_BYTES = len(_FORMAT) + _KEY_HASH_BYTES + 4
_NONCE_BYTES = 12
_TAG_BYTES = 16


def new_material() -> bytes:
    """Key material for a new version: 32 random bytes."""
    return AESGCM.generate_key(bit_length=256)


def encrypt(material: bytes, key_name: str, number: int, plaintext: bytes, additional: bytes) -> bytes:
    """The ciphertext of `plaintext` under version `number` of the key."""
    header = _key_header(key_name) + number.to_bytes(4)
    nonce = os.urandom(_NONCE_BYTES)
    return header + nonce + AESGCM(material).encrypt(nonce, plaintext, header + additional)


def number_of(key_name: str, ciphertext: bytes) -> int:
    """The number of the version that made this ciphertext.

    Raises:
        Refusal: INVALID_ARGUMENT, it is no ciphertext, or one of another key.
    """
    if len(ciphertext) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES or not ciphertext.startswith(_FORMAT):
        invalid("Decryption failed: the ciphertext is invalid.")
    if not ciphertext.startswith(_key_header(key_name)):
        invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
    return int.from_bytes(ciphertext[_HEADER_BYTES - 4 : _HEADER_BYTES])


def decrypt(material: bytes, ciphertext: bytes, additional: bytes) -> bytes:
    """The plaintext.

    Raises:
        Refusal: INVALID_ARGUMENT, the ciphertext was changed or the additional data is not the same.
    """
    header, rest = ciphertext[:_HEADER_BYTES], ciphertext[_HEADER_BYTES:]
    try:
        return AESGCM(material).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + additional)
    except InvalidTag:
        invalid("Decryption failed: the ciphertext is invalid.")


def _key_header(key_name: str) -> bytes:
    return _FORMAT + blake2b(key_name.encode(), digest_size=_KEY_HASH_BYTES).digest()
