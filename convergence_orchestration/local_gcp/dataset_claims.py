"""One creation of a dataset at a time, so that of two for one id one succeeds and the other is told that it exists.

The real service answers the loser 409. local-bigquery answers 400 when two of its transactions collide, which would
look as if the request were wrong. Tenants' ids are claimed by creating a dataset, so this must be right.
"""

import asyncio

from convergence_orchestration.local_gcp.asgi_faults import Application, Message, Receive, Send


class OneDatasetAtATime:
    """Wraps local-bigquery's application: `datasets.insert` waits for the one before it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._inserting = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the wrapped application does."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/datasets"):
            await self._application(scope, receive, send)
            return
        async with self._inserting:
            await self._application(scope, receive, send)
