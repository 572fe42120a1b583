"""Cloud Logging alone, served from a directory whose local cloud does not run.

What belongs here: putting the service, the store and an edge together for as long as somebody reads.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from convergence_orchestration.local_gcp.dispatch import Dispatcher
from convergence_orchestration.local_gcp.faults import Faults
from convergence_orchestration.local_gcp.grpc_edge import GrpcEdge
from convergence_orchestration.local_gcp.logging.service import Logging
from convergence_orchestration.local_gcp.logging.sources import Sources
from convergence_orchestration.local_gcp.store import Store


@contextmanager
def serving(data_dir: Path, sources: Sources) -> Iterator[int]:
    """The gRPC port on 127.0.0.1."""
    with ExitStack() as undo:
        store = Store(data_dir)
        undo.callback(store.close)
        faults = Faults(data_dir / "faults.yaml")
        dispatcher = Dispatcher([Logging(sources)], store, faults, lambda: datetime.now(UTC), is_quiet=True)
        edge = GrpcEdge(dispatcher, 0)
        undo.callback(edge.stop)
        undo.callback(dispatcher.stop)
        edge.start()
        yield edge.port
