"""Work in a process of its own: what is too heavy ends there, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest

from chassis.problems import Unavailable
from services.ticketing.errors import SeatingPlanRefused
from services.ticketing.halls import imports, reading
from services.ticketing.halls.workshop import TooHeavy, Workshop
from tests.harness import ROOT, eventually

ORPHAN = """
import asyncio, os, time
from services.ticketing.halls.workshop import Workshop
async def main():
    print(await Workshop().run(os.getpid), flush=True)
    time.sleep(60)
if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    made = Workshop(memory=100_000_000, seconds=1, waiting=2)
    yield made
    made.close()


def take_memory() -> int:
    return len(bytearray(1_000_000_000))


def take_time(_: object = None) -> None:
    while True:
        pass


def refuse() -> None:
    raise SeatingPlanRefused("No.", seats=["1-1"])


async def test_work_is_done_elsewhere_and_its_errors_come_back(workshop: Workshop) -> None:
    assert await workshop.run(os.getpid) != os.getpid()
    with pytest.raises(SeatingPlanRefused, match=r"No\.") as error:
        await workshop.run(refuse)
    assert error.value.extra == {"seats": ["1-1"]}


@pytest.mark.parametrize("work", [take_memory, take_time, os.abort])
async def test_what_is_too_heavy_is_given_up_and_the_next_is_served(workshop: Workshop, work) -> None:
    with pytest.raises(TooHeavy):
        await workshop.run(work)
    assert await workshop.run(abs, -1) == 1


async def test_so_many_wait_and_no_more(workshop: Workshop) -> None:
    answers = await asyncio.gather(*(workshop.run(time.sleep, 0.1) for _ in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), type(None), Unavailable, Unavailable]
    assert await workshop.run(abs, -1) == 1


async def test_who_stops_waiting_gives_up_the_place(workshop: Workshop) -> None:
    waiting = [asyncio.create_task(workshop.run(time.sleep, 0.1)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await workshop.run(abs, -1) == 1


async def test_a_plan_that_is_too_heavy_is_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "check", take_time)
    with pytest.raises(SeatingPlanRefused, match="too much memory or time"):
        await reading.check_import(workshop, b" " * (reading.SMALL + 1))


async def test_the_process_ends_with_a_service_that_is_killed() -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ORPHAN, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout is not None
    worker = int(await service.stdout.readline())
    service.send_signal(signal.SIGKILL)
    await service.wait()

    def gone() -> bool:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(gone)
