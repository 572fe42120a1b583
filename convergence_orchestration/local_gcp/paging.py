"""Pages of lists.

What belongs here: sizes and tokens. A token holds the place of the last item, so a page stays right when items are
added or removed meanwhile.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from convergence_orchestration.local_gcp.refusals import invalid, not_served

_DEFAULT_SIZE = 100
_MAX_SIZE = 1000
_PREFIX = b"after:"

type Reader[M] = Callable[[type[M], str, int, int], list[tuple[int, M]]]


def page[M](
    read: Reader[M],
    kind: type[M],
    parent: str,
    request: Any,  # noqa: ANN401
    keep: Callable[[M], bool] | None = None,
) -> tuple[list[M], str]:
    """The items of one page, and the token of the next one ("" after the last).

    `read` is `Rows.oldest_first` or `Rows.newest_first`; `request` is any list request; `keep` is what its filter means.

    Raises:
        Refusal: INVALID_ARGUMENT for a wrong size or token, UNIMPLEMENTED for an order, or a filter that nobody read.
    """
    if (getattr(request, "filter", "") and keep is None) or getattr(request, "order_by", ""):
        not_served("A list with this filter, or with order_by")
    if request.page_size < 0:
        invalid("page_size must not be negative.")
    size = min(request.page_size or _DEFAULT_SIZE, _MAX_SIZE)
    found = _kept(read, kind, parent, place_of(request.page_token), size + 1, keep)
    token = token_of(found[size - 1][0]) if len(found) > size else ""
    return [item for _, item in found[:size]], token


def _kept[M](
    read: Reader[M], kind: type[M], parent: str, place: int, size: int, keep: Callable[[M], bool] | None
) -> list[tuple[int, M]]:
    """The next `size` items that are kept, or all that are left."""
    kept: list[tuple[int, M]] = []
    while found := read(kind, parent, place, size):
        kept += [(ordinal, item) for ordinal, item in found if keep is None or keep(item)]
        if len(kept) >= size:
            break
        place = found[-1][0]
    return kept[:size]


def token_of(place: int) -> str:
    """The token of a page that begins behind this place."""
    return base64.urlsafe_b64encode(_PREFIX + str(place).encode()).decode()


def place_of(token: str) -> int:
    """The place that a token holds; 0 for none.

    Raises:
        Refusal: INVALID_ARGUMENT, no list gave this token.
    """
    if not token:
        return 0
    try:
        content = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        content = b""
    digits = content.removeprefix(_PREFIX)
    if not content.startswith(_PREFIX) or not digits.isdigit():
        invalid("page_token is not one that a list answered with.")
    return int(digits)
