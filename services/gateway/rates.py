"""How often a client may ask: alone in this process, or counted with the other gateways."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Protocol

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from services.gateway.limits import Buckets
from services.gateway.shared import PREFIX, Shared

GRANT = 10
"""Requests that a process takes for a client at once: it asks Redis for every tenth, and a window may waste nine."""
KEEP = 100_000


class Rates(Protocol):
    async def take(self, client: str) -> float:
        """Takes one request of a client. Returns 0, or how many seconds until there is one."""
        ...


class OwnRates:
    def __init__(self, rate: float, burst: int) -> None:
        self._buckets = Buckets(rate, burst)

    async def take(self, client: str) -> float:
        return self._buckets.take(client)


class SharedRates:
    """`burst` requests in the time in which `rate` a second would make as many, in all gateways together."""

    def __init__(self, shared: Shared, rate: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        seconds = max(1, math.ceil(burst / rate))
        self._item: RateLimitItem = RateLimitItemPerSecond(max(1, round(rate * seconds)), seconds, namespace="rate")
        self._own = Buckets(rate, burst)
        self._shared = shared
        storage = RedisStorage(
            f"async+{shared.url}",
            implementation="redispy",
            key_prefix=f"{PREFIX}limits",
            connection_pool=shared.redis.connection_pool,  # type: ignore[arg-type]
        )
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._grant = min(GRANT, max(1, self._item.amount // 10))
        self._granted: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Requests that were taken in advance, and until when they count."""
        self._asking: dict[str, asyncio.Task[int | None]] = {}
        self._clock = clock

    async def take(self, client: str) -> float:
        while True:
            left, until = self._granted.get(client, (0, 0.0))
            if left and until > self._clock():
                self._granted[client] = (left - 1, until)
                return 0.0
            asking = self._asking.get(client)
            if asking is None:
                asking = self._asking[client] = asyncio.create_task(self._fetch(client))
                asking.add_done_callback(lambda _: self._asking.pop(client, None))
            # Once for all that wait; shielded, because one that goes away must not fail the others.
            granted = await asyncio.shield(asking)
            if granted is None:
                return self._own.take(client)
            if not granted:
                return 1.0

    async def _fetch(self, client: str) -> int | None:
        """Requests that were granted, 0 if the client has had all of them; None if nobody knows."""
        for wanted in (self._grant, 1):
            answer = await self._shared.ask(partial(self._limiter.hit, self._item, client, cost=wanted))
            if answer is None:
                return None
            if answer:
                self._granted[client] = (wanted, self._clock() + self._item.get_expiry())
                self._granted.move_to_end(client)
                if len(self._granted) > KEEP:
                    self._granted.popitem(last=False)
                return wanted
        return 0
