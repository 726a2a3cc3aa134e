"""Places for live streams: so many for each client, and so many in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

from redis.commands.core import AsyncScript

from chassis.problems import TooManyRequests, Unavailable
from services.gateway.shared import PREFIX, Shared

LEASE_SECONDS = 45.0
"""A place of a gateway that has died is free after so long."""

# The clock is that of Redis, so those of the gateways need not agree.
TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local mine = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not mine and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3] * 2)
return 1
"""


class Places:
    """Who has taken which. A place is taken before anything is awaited that lets another request in between."""

    def __init__(self, most: int, most_per_client: int, shared: Shared | None = None) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._shared = shared
        self._taken = 0
        self._of_client: Counter[str] = Counter()
        self._held: dict[str, str] = {}
        """Clients by place, of those that have a limit."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._take_shared: AsyncScript | None = shared.redis.register_script(TAKE) if shared else None

    def of_client(self, client: str) -> int:
        return self._of_client[client]

    async def take(self, client: str | None) -> str:
        """A place for a client, None for one without a limit. Raises `TooManyRequests`, `Unavailable`."""
        if self._taken >= self._most:
            raise Unavailable(
                "Too many live streams are open. Fetch the map from time to time instead.", retry_after=30
            )
        place = uuid4().hex
        if client is None:
            self._taken += 1
            return place
        if self._of_client[client] >= self._most_per_client:
            raise self._too_many()
        self._taken += 1
        self._of_client[client] += 1
        self._held[place] = client
        try:
            if await self._ask(client, place) == 0:
                raise self._too_many()
        except BaseException:
            self.give_back(place)
            raise
        return place

    def give_back(self, place: str) -> None:
        self._taken -= 1
        client = self._held.pop(place, None)
        if client is None:
            return
        self._of_client[client] -= 1
        if not self._of_client[client]:
            del self._of_client[client]
        if self._shared is not None:
            task = asyncio.create_task(self._forget(client, place))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def renew(self) -> None:
        """Keeps the places of this process in Redis, for ever; also those that were taken while it was away."""
        while self._shared is not None:
            await asyncio.sleep(LEASE_SECONDS / 3)
            for place, client in list(self._held.items()):
                await self._ask(client, place)

    async def _ask(self, client: str, place: str) -> int | None:
        if self._shared is None or self._take_shared is None:
            return None
        script = self._take_shared
        arguments: list[str | float] = [place, self._most_per_client, LEASE_SECONDS]
        return await self._shared.ask(lambda: script(keys=[_key(client)], args=arguments))

    async def _forget(self, client: str, place: str) -> None:
        if (shared := self._shared) is not None:
            await shared.ask(lambda: shared.redis.zrem(_key(client), place))

    def _too_many(self) -> TooManyRequests:
        return TooManyRequests(
            f"Your address has {self._most_per_client} live streams open. Close one first.", retry_after=30
        )


def _key(client: str) -> str:
    return f"{PREFIX}live:{client}"
