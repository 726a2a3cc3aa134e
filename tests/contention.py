"""Locks that are contended on purpose, and clocks that differ, so that a missing lock or a wrong clock shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from tests.harness import eventually

WAITING = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


async def done_or_waiting(db: Database, *tasks: asyncio.Task[Any]) -> None:
    """Each of the tasks has ended, or waits in the database for somebody's lock; nobody else may wait there."""

    async def check() -> bool:
        going = sum(not task.done() for task in tasks)
        async with db.as_worker() as session:
            return (await session.scalar(WAITING) or 0) >= going

    await eventually(check)


@asynccontextmanager
async def beside_a_transaction(db: Database, *work: Coroutine[Any, Any, Any]) -> AsyncIterator[AsyncSession]:
    """A transaction that is still open while the work begins, and goes as far as it can; then it is committed, and
    the work ends. What the work raises, it raises then."""
    tasks: list[asyncio.Task[Any]] = []
    try:
        async with db.as_worker() as session:
            yield session
            await session.flush()
            tasks = [asyncio.create_task(each) for each in work]
            await done_or_waiting(db, *tasks)
    finally:
        for each in work[len(tasks) :]:
            each.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        task.result()


@pytest.fixture(params=[-1, 1], ids=["an hour slow", "an hour fast"])
def wrong_clock(request: pytest.FixtureRequest) -> Any:
    """The clock of this process is an hour off the database's."""
    moment = datetime.now(UTC) + timedelta(hours=request.param)
    with time_machine.travel(moment, tick=True):
        yield
