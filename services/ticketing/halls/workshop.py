"""Work that would stop the event loop, or take all memory, in a process of its own: sales go on beside it."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import TypeVar

from chassis.logging import get_logger
from chassis.problems import Unavailable

log = get_logger(__name__)

T = TypeVar("T")

MEMORY = 1024**3
SECONDS = 30
WAITING = 8
TASKS = 20
"""After so many the process is made anew, so that what it once needed is given back."""
PR_SET_PDEATHSIG = 1


class TooHeavy(Exception):
    """The work needed more memory or time than it may have."""


class Workshop:
    """One process, started when it is first needed. Who comes while `waiting` others wait is sent away."""

    def __init__(self, *, memory: int = MEMORY, seconds: int = SECONDS, waiting: int = WAITING) -> None:
        self._memory = memory
        self._seconds = seconds
        self._most = waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` returns or raises; both, and its arguments, travel pickled. Raises `Unavailable` when too many
        wait, and `TooHeavy`."""
        if self._waiting >= self._most:
            raise Unavailable("Others are being served. Try again in a few seconds.", retry_after=5)
        self._waiting += 1
        try:
            # One at a time: if the process dies, it is clear of what.
            async with self._turn:
                task = partial(_limited, work, self._seconds, arguments)
                return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._open(), task))
        except (BrokenProcessPool, MemoryError) as error:
            log.warning("work was too heavy", work=work.__qualname__, error=repr(error))
            self.close()
            raise TooHeavy(f"{work.__qualname__} was given up") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_settle_in,
                initargs=(self._memory, os.getpid()),
                max_tasks_per_child=TASKS,
            )
        return self._pool


def _settle_in(memory: int, parent: int) -> None:
    """In the process: it gives way to those who sell, and ends with the service, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    os.nice(5)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limited(work: Callable[..., T], seconds: int, arguments: tuple[object, ...]) -> T:
    """SIGXCPU ends the process when the work takes longer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    return work(*arguments)
