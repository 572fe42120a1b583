"""Load-testing a release on its tag, with the result as an item of the check-list of its image.

What belongs here: finding the release's address, running the load and recording the result. The load itself is load.py.
"""

import asyncio

from convergence_orchestration.errors import ErrorCode, PermanentError
from convergence_orchestration.releases.answering import load_client
from convergence_orchestration.releases.checklist.gate import checked
from convergence_orchestration.releases.checklist.items import Item
from convergence_orchestration.releases.checklist.load import LoadResult, check_load, send
from convergence_orchestration.releases.model import ServiceState
from convergence_orchestration.releases.order import Order, progress_of
from convergence_orchestration.releases.placing import tag_uri
from convergence_orchestration.releases.site import Site

_CONNECTIONS = 100


def load_test(
    site: Site, order: Order, rate: float, seconds: float, path: str
) -> tuple[LoadResult, tuple[str, ...]]:
    """The result, recorded for the release's image, and which targets of its environment it misses.

    Raises:
        PermanentError: NOT_FOUND if no revision of that release is there; FAILED_PRECONDITION if no tag leads to it.
    """
    check_load(rate, seconds, path)
    progress = progress_of(site.events.of_release(order.environment, order.service, order.release_id))
    if progress.revision is None or progress.image is None:
        raise PermanentError(
            ErrorCode.NOT_FOUND,
            f"Deploy release {order.release_id} to {order.environment} first: it has no revision to test.",
        )
    state = site.read(progress.revision)
    url = _address(state, order, tag_uri(state, progress.revision) if state is not None else "") + path
    result = asyncio.run(_sent(site, url, rate, seconds))
    problems = result.problems(site.specification.rollout.policy().targets)
    words = (
        " ".join(problems) or f"{result.requests} requests at {result.rate:.0f} a second kept the targets."
    )
    event = checked(
        order,
        site.clock(),
        Item.LOAD_TEST,
        words,
        met=not problems,
        image=progress.image,
        numbers=result.numbers,
        revision=progress.revision,
    )
    site.events.append(event)
    return result, problems


async def _sent(site: Site, url: str, rate: float, seconds: float) -> LoadResult:
    async with load_client(site.settings.run_authority_file, _CONNECTIONS) as http:
        return await send(http, url, rate, seconds)


def _address(state: ServiceState | None, order: Order, uri: str) -> str:
    if state is None or not uri:
        raise PermanentError(
            ErrorCode.FAILED_PRECONDITION,
            f"Release {order.release_id} again under another name: no tag leads to its revision any more.",
        )
    return uri
