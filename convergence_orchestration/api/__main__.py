"""`python -m convergence_orchestration.api`: the API as a process, on API_HOST and API_PORT."""

import gc

import uvicorn

from convergence_orchestration.api.app import create_app
from convergence_orchestration.api.header_limit import LimitedHead
from convergence_orchestration.settings import Settings

GRACE_SECONDS = 8
"""After SIGTERM calls have this long to be answered; Cloud Run kills after 10. Their runs go on in any case."""


def main() -> None:
    """Serve until SIGTERM or SIGINT; wrong settings end it with a sentence for each and status 2."""
    app = create_app()
    settings: Settings = app.state.settings
    gc.freeze()  # what is imported by now stays for ever: no collection needs to look through it again
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        http=LimitedHead,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # TRUSTED_PROXIES says whose to believe, and then only for the audit log
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
