"""`python -m chassis.run orders`: serves one service with the settings of the environment."""

from __future__ import annotations

import gc
import importlib
import resource
import sys
from functools import partial

import uvicorn

from chassis.http import HttpProtocol


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m chassis.run SERVICE")
    app = importlib.import_module(f"services.{sys.argv[1]}.main").app
    settings = app.state.settings
    # What start-up made lives as long as the process; not walking it again keeps the slowest requests fast.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    # Each connection is a file; a thousand of them is what a shell allows by default.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=partial(HttpProtocol, clients=app.state.clients),  # type: ignore[arg-type]
        access_log=False,
        log_config=None,
        # Only the gateway knows which proxies to believe; uvicorn would believe any client of this machine.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.stop_grace_seconds,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
