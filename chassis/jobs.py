"""Background jobs of a service: run every so often, again at once while there is work, whatever the errors.

Several replicas run the same job: its statements claim rows with FOR UPDATE SKIP LOCKED.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chassis import metrics
from chassis.db import Database
from chassis.errors import is_passing
from chassis.logging import get_logger

log = get_logger(__name__)

MAX_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Job:
    """`run` returns how much it did; while that is more than zero it is called again without a pause."""

    name: str
    every_seconds: float
    run: Callable[[Database], Awaitable[int]]


async def run_forever(job: Job, db: Database) -> None:
    pause = job.every_seconds
    while True:
        try:
            done = await job.run(db)
        except Exception as error:
            metrics.JOB_RUNS.labels(job.name, "failed").inc()
            log.warning("job failed", job=job.name, error=repr(error), exc_info=not is_passing(error))
            pause = min(max(pause * 2, 0.5), MAX_PAUSE_SECONDS)
        else:
            metrics.JOB_RUNS.labels(job.name, "ok").inc()
            metrics.JOB_DONE.labels(job.name).inc(done)
            pause = 0 if done else job.every_seconds
        # Replicas spread out instead of meeting at the same rows.
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
