"""Background jobs of a service: run every so often, again at once while there is work, whatever the errors.

Several replicas run the same job: its statements claim rows with FOR UPDATE SKIP LOCKED. A job that one replica does
for all says `alone`: it runs where the service's lease is, and its transactions end before another replica has it.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chassis import metrics
from chassis.db import Database, fenced_by
from chassis.errors import is_passing
from chassis.leases import Lease, LeaseLost
from chassis.logging import get_logger

log = get_logger(__name__)

MAX_PAUSE_SECONDS = 30.0
STANDBY_SECONDS = 1.0
"""How often a job looks whether it is its replica's turn: that asks nobody."""
AGAIN_SECONDS = 1.0
LEASE_SECONDS = 10.0


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
    """In one replica at a time, by `Database.as_worker`: a transaction that another replica has followed fails."""
    leave: Callable[[], None] = _nothing
    """Called when this is not the replica any more that does a job `alone`: what only the one may say is unsaid."""


class Turn:
    """Whether it is this replica that does what one does for all. It runs until cancelled."""

    def __init__(self, db: Database, lease_seconds: float = LEASE_SECONDS) -> None:
        self.lease = Lease(db, "jobs", lease_seconds)

    @property
    def ours(self) -> bool:
        return self.lease.held

    async def run(self) -> None:
        while True:
            try:
                await self.lease.hold(_for_ever)
            except Exception as error:
                log.warning("turn lost", error=repr(error))
            await asyncio.sleep(AGAIN_SECONDS)


async def _for_ever() -> None:
    await asyncio.Event().wait()


def next_pause(job: Job, pause: float, done: int) -> float:
    """After a run that did `done`, with `pause` before it."""
    if done:
        return 0
    return max(job.every_seconds, min(pause * 1.5, job.rest_seconds))


async def run_forever(job: Job, db: Database, turn: Turn) -> None:
    metrics.JOB_INTERVAL.labels(job.name).set(max(job.every_seconds, job.rest_seconds))
    succeeded = metrics.JOB_SUCCEEDED.labels(job.name)
    succeeded.set(math.nan)
    pause = job.every_seconds
    led = False
    while True:
        mine = not job.alone or turn.ours
        if mine and not led:
            succeeded.set_to_current_time()
        try:
            done = await _run(job, db, turn) if mine else 0
        except Exception as error:
            metrics.JOB_RUNS.labels(job.name, "failed").inc()
            unexpected = not (is_passing(error) or isinstance(error, LeaseLost))
            log.warning("job failed", job=job.name, error=repr(error), exc_info=unexpected)
            pause = min(max(pause * 2, 0.5), MAX_PAUSE_SECONDS)
        else:
            if mine:
                metrics.JOB_RUNS.labels(job.name, "ok").inc()
                metrics.JOB_DONE.labels(job.name).inc(done)
                succeeded.set_to_current_time()
            pause = next_pause(job, pause, done)
        still_mine = not job.alone or turn.ours
        if (led or mine) and not still_mine:
            job.leave()
            succeeded.set(math.nan)
        led = still_mine
        if not led:
            pause = min(pause, STANDBY_SECONDS)
        # Replicas spread out instead of meeting at the same rows.
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311


async def _run(job: Job, db: Database, turn: Turn) -> int:
    if not job.alone:
        return await job.run(db)
    with fenced_by(turn.lease):
        return await job.run(db)
