"""`alembic check` for every service: migrating a fresh database must give exactly the tables of the models.

    python -m deploy.checks.migrations            every service, on a throw-away PostgreSQL
    python -m deploy.checks.migrations orders     some

Each service runs in a process of its own, as it does in production, so that one's models cannot hide another's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.platform.databases import create_service_database
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import free_ports

ROOT = Path(__file__).resolve().parents[2]
OFF = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
"""The server lives for seconds and holds nothing: it need not survive a crash."""


def services() -> list[str]:
    """Services with tables of their own."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/models*") if "__pycache__" not in path.parts)


@contextmanager
def throw_away_server() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="footlights-check-"))
    folder.chmod(0o755)
    (port,) = free_ports(1)
    server = PostgresServer(folder / "postgres", port, log=folder / "postgres.log", settings=OFF)
    try:
        server.start()
        yield server
    finally:
        server.stop(grace=3)
        shutil.rmtree(folder, ignore_errors=True)


def check_all(names: list[str]) -> int:
    with throw_away_server() as server:

        async def databases() -> dict[str, str]:
            return {name: (await create_service_database(server.url(), name)).owner for name in names}

        urls = asyncio.run(databases())
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            found = dict(zip(names, pool.map(lambda name: _in_a_process(name, urls[name]), names), strict=True))
    for name, (code, words) in found.items():
        print(f"migrations of {name}: {'fine' if code == 0 else words}")
    return max(code for code, _ in found.values())


def _in_a_process(name: str, url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.checks.models_match", name],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def main(arguments: list[str]) -> int:
    return check_all(arguments or services())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
