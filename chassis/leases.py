"""One process at a time does what one does for all: it holds a lease in the service's database and renews it.

The row says until when, by the database's clock, and the epoch, which is another for each holder. A holder that is
killed loses the lease with its connection, at once; one that is frozen or cut off loses it when its time is over. By
its own clock a holder's time ends earlier than the database says, so it has stopped before another begins, unless it
stands still at the wrong moment. What it does then is fenced by the epoch: transactions by `fence`, events by Kafka
(`chassis.sending.FencedProducer`), which knows the lease by its `id`.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database

LOOK_SECONDS = 0.5
"""How often the others look whether the lease is free."""
OWN_SHARE = 0.8
"""Of the lease's time, that its holder believes in: the rest is for clocks that differ, and for stopping."""
RENEWALS = 4
"""In the time of a lease."""

# Asked before it is taken, because even a vain attempt to take it would write.
IS_FREE = """
    SELECT count(*) = 0 FROM lease
    WHERE name = $1 AND expires_at >= clock_timestamp() AND EXISTS (SELECT FROM pg_stat_get_activity(backend))
"""
TAKE = """
    INSERT INTO lease AS held (name, holder, backend, expires_at)
    VALUES ($1, $2, pg_backend_pid(), clock_timestamp() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, backend = excluded.backend, expires_at = excluded.expires_at, epoch = held.epoch + 1
    WHERE held.expires_at < clock_timestamp() OR NOT EXISTS (SELECT FROM pg_stat_get_activity(held.backend))
    RETURNING id, epoch
"""
RENEW = """
    UPDATE lease SET expires_at = clock_timestamp() + make_interval(secs => $3) WHERE name = $1 AND epoch = $2
    RETURNING true
"""
GIVE_UP = "UPDATE lease SET expires_at = '-infinity' WHERE name = $1 AND epoch = $2"
# The lock keeps others from taking the lease until the transaction ends, and its holder not from renewing it: the epoch
# is in a unique index, so a new one needs a stronger lock than a new time. A process that is frozen in its transaction
# keeps it no longer than these seconds.
FENCE = text("""
    SELECT set_config('idle_in_transaction_session_timeout', '5s', true) FROM lease
    WHERE name = :name AND epoch = :epoch FOR KEY SHARE
""")


class LeaseLost(Exception):
    """Another process holds the lease, or may take it at any moment."""


class Lease:
    """The lease of one `name` in a service's database."""

    def __init__(self, db: Database, name: str, seconds: float) -> None:
        self._db = db
        self.name = name
        self._seconds = seconds
        self._until = -math.inf
        self.epoch = 0
        self.id: UUID | None = None
        """Names the lease outside of its database, whoever holds it."""

    @property
    def held(self) -> bool:
        """Whether it is ours, as far as one can know without asking."""
        return _now() < self._until

    async def hold(self, work: Callable[[], Awaitable[None]], standby: Callable[[], None] = lambda: None) -> None:
        """Waits for the lease, does `work` while it is ours, and gives it up at the end.

        Cancels the work and raises `LeaseLost` when the lease is gone, or what the database says when it cannot be
        reached. `standby` is called if somebody else holds it.
        """
        connection = await self._db.pin("worker")
        try:
            # What a crash of the database makes it forget must not be an epoch: another would get the same.
            await connection.execute("SET synchronous_commit = on; SET lock_timeout = '2s'")
            await self._take(connection, standby)
            await self._work(connection, work)
        finally:
            self._until = -math.inf
            connection.terminate()

    async def fence(self, session: AsyncSession) -> None:
        """Keeps the lease from being taken over before the session's transaction ends. Raises `LeaseLost` if it was."""
        if await session.scalar(FENCE, {"name": self.name, "epoch": self.epoch}) is None:
            raise LeaseLost(self.name)

    async def _take(self, connection: asyncpg.Connection[asyncpg.Record], standby: Callable[[], None]) -> None:
        while True:
            if await connection.fetchval(IS_FREE, self.name, timeout=10):
                asked = _now()
                holder = f"{socket.gethostname()}:{os.getpid()}"
                taken = await connection.fetchrow(TAKE, self.name, holder, self._seconds, timeout=10)
                if taken is not None:
                    self.id, self.epoch = taken
                    self._until = asked + OWN_SHARE * self._seconds
                    return
            standby()
            await asyncio.sleep(LOOK_SECONDS)

    async def _work(self, connection: asyncpg.Connection[asyncpg.Record], work: Callable[[], Awaitable[None]]) -> None:
        tasks = [asyncio.ensure_future(work()), asyncio.ensure_future(self._renew(connection))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.held:
                with suppress(Exception):
                    await connection.execute(GIVE_UP, self.name, self.epoch, timeout=2)

    async def _renew(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            await asyncio.sleep(self._seconds / RENEWALS)
            asked = _now()
            ours = await connection.fetchval(
                RENEW, self.name, self.epoch, self._seconds, timeout=max(self._until - asked, 0.1)
            )
            if not ours:
                self._until = -math.inf
                raise LeaseLost(self.name)
            self._until = asked + OWN_SHARE * self._seconds


def _now() -> float:
    """Seconds of a clock that goes on while the process is frozen or the machine asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
