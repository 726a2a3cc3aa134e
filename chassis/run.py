"""`python -m chassis.run orders`: serves one service with the settings of the environment."""

from __future__ import annotations

import gc
import importlib
import sys

import uvicorn

from chassis.http import HttpProtocol

GRACE_SECONDS = 5


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m chassis.run SERVICE")
    app = importlib.import_module(f"services.{sys.argv[1]}.main").app
    settings = app.state.settings
    # What start-up made lives as long as the process; not walking it again keeps the slowest requests fast.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=HttpProtocol,
        access_log=False,
        log_config=None,
        # Only the gateway knows which proxies to believe; uvicorn would believe any client of this machine.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
