"""`alembic check` for every service: migrating a fresh database must give exactly the tables of the models.

    python -m deploy.checks.migrations            every service, on a throw-away PostgreSQL
    python -m deploy.checks.migrations orders     some

Each service runs in a process of its own, as it does in production, so that one's models cannot hide another's.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from deploy.checks.models_match import check_one
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
        found = side_by_side(urls)
    for name, words in found.items():
        print(f"migrations of {name}: {words or 'fine'}")
    return 1 if any(found.values()) else 0


def side_by_side(urls: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with each service. Forked, because importing SQLAlchemy and alembic six times takes longer."""
    fork = get_context("fork")
    running = {}
    for name, url in urls.items():
        answer, tell = fork.Pipe(duplex=False)
        process = fork.Process(target=_judge, args=(name, url, tell))
        process.start()
        tell.close()
        running[name] = (process, answer)
    found = {}
    for name, (process, answer) in running.items():
        try:
            found[name] = str(answer.recv())
        except EOFError:
            found[name] = "the check ended without an answer"
        process.join()
    return found


def _judge(name: str, url: str, tell: Connection) -> None:
    try:
        tell.send(check_one(name, url))
    except Exception:
        tell.send(traceback.format_exc(limit=-6))


def main(arguments: list[str]) -> int:
    return check_all(arguments or services())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
