"""Limits that several gateways count together, in a real Redis that is stopped, frozen and gone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from chassis.problems import TooManyRequests
from deploy.platform.processes import free_ports
from services.gateway import metrics, shared
from services.gateway.places import Places, _key
from services.gateway.rates import SharedRates
from services.gateway.shared import Shared
from tests.gateway.conftest import Serve
from tests.harness import eventually

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="the Debian package redis-server is missing"
)


PATIENT = 30.0
"""A busy machine may take its time; what a frozen Redis does is shown with less."""


class Redis:
    """A server of one test."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        arguments = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self.process = await asyncio.create_subprocess_exec(
            *("redis-server", *arguments), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        await eventually(self._answers)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    server = Redis()
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def connect(redis: Redis) -> AsyncIterator[list[Shared]]:
    """Two gateways' connections."""
    connections = [Shared(redis.url, PATIENT), Shared(redis.url, PATIENT)]
    yield connections
    for one in connections:
        await one.close()


async def test_sixty_streams_opened_at_once_are_twenty(serve_gateway: Serve) -> None:
    async with serve_gateway(rate_exempt="", rate_per_second=0) as gateway:
        assert await _opened([gateway.url], gateway.client) == 20


@needs_redis
async def test_they_are_twenty_at_two_gateways_together(serve_gateway: Serve, redis: Redis) -> None:
    settings = {"rate_exempt": "", "rate_per_second": 0, "limits_redis_url": redis.url, "limits_redis_seconds": PATIENT}
    async with serve_gateway(**settings) as one, serve_gateway(**settings) as other:
        assert await _opened([one.url, other.url], one.client) == 20
        # All were closed, so all places are free again.
        await eventually(lambda: not one.app.state.places.of_client("127.0.0.1"))
        reader = Shared(redis.url, PATIENT)

        async def free() -> bool:
            return await reader.redis.zcard(_key("127.0.0.1")) == 0

        await eventually(free)
        await reader.close()


@needs_redis
async def test_rates_are_counted_together_to_the_last_request(connect: list[Shared]) -> None:
    rates = [SharedRates(one, rate=0.5, burst=100) for one in connect]
    waits = await asyncio.gather(*(rates[number % 2].take("a") for number in range(300)))
    assert waits.count(0) == 100
    assert await rates[0].take("b") == 0


@needs_redis
async def test_a_gateway_that_died_keeps_no_place(connect: list[Shared]) -> None:
    places = Places(1000, 3, connect[0])
    now = time.time()
    await connect[1].redis.zadd(_key("a"), {"dead": now - 1, "dead too": now - 1, "living": now + 60})
    assert [await places.take("a") for _ in range(2)]
    with pytest.raises(TooManyRequests):
        await places.take("a")


@needs_redis
async def test_while_redis_is_away_each_counts_alone(
    redis: Redis, connect: list[Shared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "AGAIN_SECONDS", 0.1)
    mine = Shared(redis.url, 0.25)
    rates, places = SharedRates(mine, rate=0.5, burst=50), Places(1000, 3, mine)
    held = await places.take("a")
    redis.signal(signal.SIGSTOP)
    try:
        waits = await asyncio.gather(*(rates.take("a") for _ in range(100)))
        assert waits.count(0) == 50
        assert metrics.LIMITS_SHARED._value.get() == 0
        assert len([await places.take("a") for _ in range(2)]) == 2
        with pytest.raises(TooManyRequests):
            await places.take("a")
    finally:
        redis.signal(signal.SIGCONT)

    async def shared_again() -> bool:
        await rates.take("b")
        return metrics.LIMITS_SHARED._value.get() == 1

    await eventually(shared_again)
    await redis.kill()
    assert await SharedRates(connect[1], rate=0.5, burst=50).take("a") == 0
    places.give_back(held)
    assert await places.take("a")
    await mine.close()


async def _opened(urls: list[str], client) -> int:
    """How many of sixty streams, asked for at once, are open together."""
    async with contextlib.AsyncExitStack() as stack:
        asked = [client.get(f"{urls[n % len(urls)]}/live/shows/{uuid4()}") for n in range(60)]
        answers = await asyncio.gather(*(stack.enter_async_context(one) for one in asked))
        assert {answer.status for answer in answers} == {200, 429}
        return sum(answer.status == 200 for answer in answers)
