"""Background jobs of a service: run every so often, again at once while there is work, whatever the errors.

Several replicas run the same job: its statements claim rows with FOR UPDATE SKIP LOCKED. A job that one replica does
for all says `alone`, and it runs where the service's session lock is.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from chassis import metrics
from chassis.db import Database
from chassis.errors import is_passing
from chassis.logging import get_logger

log = get_logger(__name__)

MAX_PAUSE_SECONDS = 30.0
STANDBY_SECONDS = 15.0
"""How often the other replicas ask whether it is their turn."""
LOCK = "SELECT pg_try_advisory_lock(hashtext('footlights jobs done alone'))"


def _nothing() -> None:
    """Nothing to tidy up."""


@dataclass(frozen=True, slots=True)
class Job:
    """`run` returns how much it did; while that is more than zero it is called again without a pause."""

    name: str
    every_seconds: float
    run: Callable[[Database], Awaitable[int]]
    rest_seconds: float = 0
    """The longest pause while there is nothing to do; each is half as long again as the one before. Work ends it."""
    alone: bool = False
    """In one replica at a time. Should the database lose the lock and not us, two may run it for a moment."""
    leave: Callable[[], None] = _nothing
    """Called when another replica takes over a job done `alone`: what only the one may say is unsaid."""


class Turn:
    """Whether it is this replica that does what one does for all: a session lock, kept as long as its connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._asking = asyncio.Lock()
        self._ours = False

    async def ours(self) -> bool:
        async with self._asking:
            try:
                if self._connection is None:
                    self._connection = await self._db.pin("worker")
                ask = "SELECT true" if self._ours else LOCK
                self._ours = bool(await self._connection.fetchval(ask, timeout=10))
            except BaseException:
                self.give_up()
                raise
            return self._ours

    def give_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection, self._ours = None, False


def next_pause(job: Job, pause: float, done: int) -> float:
    """After a run that did `done`, with `pause` before it."""
    if done:
        return 0
    return max(job.every_seconds, min(pause * 1.5, job.rest_seconds))


async def run_forever(job: Job, db: Database, turn: Turn) -> None:
    pause = job.every_seconds
    led = False
    while True:
        try:
            mine = not job.alone or await turn.ours()
            if led and not mine:
                job.leave()
            led = mine
            done = await job.run(db) if mine else 0
        except Exception as error:
            metrics.JOB_RUNS.labels(job.name, "failed").inc()
            log.warning("job failed", job=job.name, error=repr(error), exc_info=not is_passing(error))
            pause = min(max(pause * 2, 0.5), MAX_PAUSE_SECONDS)
        else:
            if mine:
                metrics.JOB_RUNS.labels(job.name, "ok").inc()
                metrics.JOB_DONE.labels(job.name).inc(done)
            pause = next_pause(job, pause, done) if mine else min(job.every_seconds, STANDBY_SECONDS)
        # Replicas spread out instead of meeting at the same rows.
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
