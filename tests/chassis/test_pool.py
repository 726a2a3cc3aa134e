"""The pool gives out no dead connection, and asks no live one whether it lives."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncpg
import pytest
import uvloop
from fastapi import APIRouter, Depends
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

from chassis import db as chassis_db
from chassis import postgres
from chassis.app import create_app
from chassis.db import Database
from chassis.edge import public
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.harness import eventually

PID = text("SELECT pg_backend_pid()")


async def backend(db: Database) -> int:
    async with db.as_worker() as session:
        pid: int = (await session.execute(PID)).scalar_one()
        return pid


async def test_connections_that_the_server_closed_are_replaced(db: Database, urls: DatabaseUrls) -> None:
    together = asyncio.Barrier(4)
    connections: list[Any] = []

    async def busy() -> int:
        async with db.as_worker() as session:
            pid: int = (await session.execute(PID)).scalar_one()
            raw = await (await session.connection()).get_raw_connection()
            connections.append(raw.driver_connection)
            await together.wait()
            return pid

    pids = await asyncio.gather(*(busy() for _ in range(4)))
    assert len(set(pids)) == 4
    colleague = await asyncpg.connect(urls.worker)
    try:
        for pid in pids:
            await colleague.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    finally:
        await colleague.close()
    await eventually(lambda: all(connection.is_closed() for connection in connections))
    again = await asyncio.gather(*(busy() for _ in range(4)))
    assert not set(again) & set(pids)


@pytest.mark.parametrize("alive", [True, False])
async def test_a_connection_that_was_idle_for_long_is_asked_first(
    db: Database, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    first = await backend(db)
    asked: list[Any] = []

    def ping(connection: Any) -> None:
        if connection.driver_connection.get_server_pid() != first:
            return  # of a service that another test left running in this process
        asked.append(connection)
        if not alive:
            raise OSError("the network forgot it")

    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", ping)
    assert await backend(db) == first
    assert not asked
    monkeypatch.setattr(chassis_db, "IDLE_SECONDS", -1)
    assert (await backend(db) == first) is alive
    assert len(asked) == 1


def test_a_dependency_that_needs_a_thread_is_refused() -> None:
    """Each request would wait for one, which costs more than the dependency."""

    def plain() -> int:
        return 1

    router = APIRouter()

    @router.get("/thing", dependencies=[Depends(public())])
    async def thing(number: int = Depends(plain)) -> int:
        return number

    with pytest.raises(TypeError, match=r"/thing depends on .*plain"):
        create_app(probe.Settings(), title="probe", routers=[router])


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "pooled"])
def test_both_ends_notice_that_the_other_has_vanished(urls: DatabaseUrls, pinned: bool) -> None:
    """Within seconds rather than TCP's hours. As services run: on uvloop."""

    async def options() -> tuple[list[int], str | None]:
        async with probe.database(probe.settings_for(urls)) as db, db.as_worker() as session:
            raw = await (await session.connection()).get_raw_connection()
            connection: Any = await db.pin() if pinned else raw.driver_connection
            sock = connection._transport.get_extra_info("socket")
            ours = [
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                *(sock.getsockopt(socket.IPPROTO_TCP, option) for option in postgres.VANISHED),
            ]
            theirs = "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name = ANY($1)"
            if pinned:
                return ours, await connection.fetchval(theirs, [*postgres.VANISHED_CLIENT])
            named = text(theirs.replace("$1", ":names"))
            return ours, await session.scalar(named, {"names": [*postgres.VANISHED_CLIENT]})

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ours, theirs = runner.run(options())
    assert ours == [1, 10, 5, 2, 15_000]
    assert theirs == "2 10 5 60000", "count, idle, interval, unacknowledged"
