"""Parts that end by themselves: named at once, and started again after a pause that grows, if that is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from deploy.platform.processes import first_cause
from deploy.platform.servers import Report

LOOK_SECONDS = 0.5
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 60.0
"""A part that lived so long is started again without a long pause."""


class Watch:
    """Looks after the parts in `wanted`. A part that has ended is not in it until it runs again."""

    def __init__(
        self,
        running: Callable[[str], bool],
        start: Callable[[str], Awaitable[None]],
        revives: Callable[[str], bool],
        report: Report,
    ) -> None:
        self.wanted: set[str] = set()
        self._running = running
        self._start = start
        self._revives = revives
        self._report = report
        self._pauses: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None
        self._revivals: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def end(self) -> None:
        tasks = [*self._revivals, *([self._looking] if self._looking else [])]
        self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.wanted.clear()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for name in [name for name in self.wanted if not self._running(name)]:
                self._ended(name)

    def _ended(self, name: str) -> None:
        self.wanted.discard(name)
        if time.monotonic() - self._started.get(name, 0.0) > STABLE_SECONDS:
            self._pauses[name] = 0.5
        pause = self._pauses[name] = min(self._pauses.get(name, 0.5) * 2, LONGEST_PAUSE)
        self._started[name] = time.monotonic() + pause
        again = self._revives(name)
        self._report(name, f"ended unexpectedly{f', starting again in {pause:.0f} s' if again else ''}")
        if again:
            task = asyncio.create_task(self._revive(name, pause))
            self._revivals.add(task)
            task.add_done_callback(self._revivals.discard)

    async def _revive(self, name: str, pause: float) -> None:
        await asyncio.sleep(pause)
        try:
            await self._start(name)
        except Exception as error:
            self._report(name, str(first_cause(error)))
            self.wanted.add(name)
