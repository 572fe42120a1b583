"""Base62 with a fixed number of digits, for key texts and key ids. Nothing else belongs here."""

from string import ascii_letters, digits

ALPHABET = digits + ascii_letters[26:] + ascii_letters[:26]
"""0-9, A-Z, a-z: in the order of their code points, so that equal lengths sort as their numbers do."""


def encoded(number: int, length: int) -> str:
    """`number` in base62, `length` digits long, padded with zeros.

    Raises:
        OverflowError: the number needs more digits.
    """
    text: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        text.append(ALPHABET[digit])
    if number:
        raise OverflowError("the number has more base62 digits than asked for")
    return "".join(reversed(text))
