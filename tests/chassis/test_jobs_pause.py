"""How long a job pauses: work is looked for often while there is some, and less often while there is none."""

from __future__ import annotations

from itertools import accumulate, repeat

import pytest

from chassis.db import Database
from chassis.jobs import Job, next_pause


async def nothing(_: Database) -> int:
    return 0


def idle(job: Job, runs: int, first: float) -> list[float]:
    return list(accumulate(repeat(0, runs), lambda pause, done: next_pause(job, pause, done), initial=first))[1:]


def test_without_a_rest_the_pause_is_always_the_same() -> None:
    assert idle(Job("steady", 0.5, nothing), 4, first=30) == [0.5] * 4


def test_the_pause_grows_while_there_is_nothing_and_work_ends_it() -> None:
    job = Job("tiring", 0.5, nothing, rest_seconds=2)
    assert idle(job, 6, first=0.5) == [0.75, 1.125, 1.6875, 2, 2, 2]
    assert next_pause(job, 2, done=3) == 0
    assert next_pause(job, 0, done=0) == 0.5
    assert next_pause(job, 30, done=0) == pytest.approx(2), "after an error too"
