"""What several gateways count together, in a Redis that need not be there.

While it is away each gateway counts by itself: limits are then as many times as high as there are gateways, and nobody
is refused for it. No request waits for it longer than `timeout` seconds, and while it is away only one a second does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chassis.logging import get_logger
from services.gateway import metrics

log = get_logger(__name__)

AGAIN_SECONDS = 1.0
PREFIX = "footlights:"

T = TypeVar("T")


class Shared:
    """The Redis of one address, as far as it answers."""

    def __init__(self, url: str, timeout: float, clock: Callable[[], float] = monotonic) -> None:
        self.url = url
        self.redis: Redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            max_connections=64,
            retry=Retry(NoBackoff(), 0),
        )
        self._clock = clock
        self._away = False
        self._again = 0.0
        metrics.LIMITS_SHARED.set(1)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer; None if there is none at the moment."""
        if self._away:
            if self._clock() < self._again:
                return None
            self._again = self._clock() + AGAIN_SECONDS
        try:
            answer = await question()
        except (RedisError, OSError, TimeoutError) as error:
            if not self._away:
                log.warning("limits are counted by this process alone: Redis does not answer", error=repr(error))
                metrics.LIMITS_SHARED.set(0)
            self._away, self._again = True, self._clock() + AGAIN_SECONDS
            return None
        if self._away:
            log.info("limits are shared again")
            metrics.LIMITS_SHARED.set(1)
            self._away = False
        return answer

    async def close(self) -> None:
        await self.redis.aclose()
