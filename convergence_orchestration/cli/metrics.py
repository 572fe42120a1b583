"""`convergence metrics`: Dagster's side of the platform for Prometheus.

What belongs here: the command, which is also the exporter's process in production.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from convergence_orchestration.cli.options import DEFAULT_DATA_DIR, DataDir, directory_at
from convergence_orchestration.cli.reporting import tell

if TYPE_CHECKING:
    from pathlib import Path

    from convergence_orchestration.settings import Settings


def metrics(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve them at this port until Ctrl-C.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve them at.")] = "127.0.0.1",
    dagster_url: Annotated[
        str | None, typer.Option(help="Dagster's web server; left out: the local platform's, or DAGSTER_URL.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the metrics of Dagster's side once, or serve them for Prometheus. The API serves its own at /metrics."""
    import time  # noqa: PLC0415 not for --help

    from convergence_orchestration import logs  # noqa: PLC0415
    from convergence_orchestration.exporting.asking import DagsterQuestions  # noqa: PLC0415
    from convergence_orchestration.exporting.metrics import DagsterMetrics  # noqa: PLC0415
    from convergence_orchestration.exporting.serving import METRICS_PATH, MetricsServer  # noqa: PLC0415

    settings = _settings(data_dir)
    questions = DagsterQuestions(dagster_url or settings.dagster_base_url)
    exported = DagsterMetrics(questions.ask, time.time)
    if port is None:
        typer.echo(exported.text().decode(), nl=False)
        return
    logs.configure(settings)
    with MetricsServer(host, port, exported.text) as server:
        tell(f"Serving http://{host}:{server.port}{METRICS_PATH}")
        server.serve_forever()


def _settings(data_dir: "Path") -> "Settings":
    from convergence_orchestration.local_platform import record  # noqa: PLC0415 not for --help
    from convergence_orchestration.local_platform.environment import platform_settings  # noqa: PLC0415
    from convergence_orchestration.settings import load_settings  # noqa: PLC0415

    platform = record.read(directory_at(data_dir))
    return platform_settings(platform) if platform else load_settings(admin_api_key=None)
