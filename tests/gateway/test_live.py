"""Seat changes from Kafka to a browser, with slow listeners and listeners that come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from contracts.envelope import Event, EventData
from services.gateway.live import Shows
from tests.gateway.conftest import Gateway, Serve
from tests.gateway.seats import event, issued, placed, stopped, voided
from tests.harness import Kafka, eventually


@dataclass
class Told:
    name: str
    id: str | None
    data: object


class Stream:
    """An open stream, read as a browser reads it."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> Told:
        name, id, data = "message", None, None
        while True:
            line = (await asyncio.wait_for(self.answer.content.readline(), 10)).decode().rstrip("\n")
            if not line and data is not None:
                return Told(name, id, json.loads(data))
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                id = value
            elif field == "data":
                data = value


@asynccontextmanager
async def listening(gateway: Gateway, show: UUID, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    async with gateway.client.get(f"{gateway.url}/live/shows/{show}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Stream(answer)


Publish = Callable[[EventData], Awaitable[None]]


@pytest.fixture(scope="session")
async def publish(kafka: Kafka) -> AsyncIterator[Publish]:
    """Sends events as ticketing does."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()

    async def send(data: EventData) -> None:
        happened = Event(id=uuid4(), data=data, organisation=uuid4())
        await producer.send_and_wait(happened.topic, data.to_json(), key=happened.key, headers=happened.headers())

    yield send
    await producer.stop()


async def test_a_seat_is_followed_from_hold_to_refund(gateway: Gateway, publish: Publish) -> None:
    show, order = uuid4(), uuid4()
    async with listening(gateway, show) as stream:
        assert (await stream.next()).name == "open"
        for data, state in (
            (placed(show, order, "a", "b"), "held"),
            (issued(show, order, "a", "b"), "sold"),
            (voided(show, order, "a", "b"), "free"),
        ):
            await publish(data)
            told = await stream.next()
            assert (told.name, told.data) == ("message", {"seats": {"a": state, "b": state}})
        await publish(placed(uuid4(), uuid4(), "of another show"))
        await publish(stopped(show))
        told = await stream.next()
        assert (told.name, told.data) == ("show", {"status": "sales_stopped"})


async def test_who_comes_back_gets_what_was_missed(gateway: Gateway, publish: Publish) -> None:
    show = uuid4()
    async with listening(gateway, show) as stream:
        first = await stream.next()
        await publish(placed(show, uuid4(), "a"))
        seen = await stream.next()
    async with listening(gateway, show) as other:
        await other.next()
        await publish(placed(show, uuid4(), "b"))
        await publish(placed(show, uuid4(), "c"))
        await other.next()
        await other.next()
    async with listening(gateway, show, seen.id) as stream:
        missed = [(await stream.next()).data for _ in range(2)]
        assert sorted(str(data) for data in missed) == ["{'seats': {'b': 'held'}}", "{'seats': {'c': 'held'}}"]
        assert (await stream.next()).name == "open"
    async with listening(gateway, show, first.id) as stream:
        assert (await stream.next()).data == {"seats": {"a": "held"}}


@pytest.mark.parametrize("last", ["junk", "abc-1", "-", "0123456789ab-99999999999999999999"])
async def test_who_was_away_too_long_fetches_the_map_again(gateway: Gateway, last: str) -> None:
    async with listening(gateway, uuid4(), last) as stream:
        assert (await stream.next()).name == "reset"


async def test_a_stream_that_nobody_reads_is_closed(gateway: Gateway) -> None:
    await eventually(lambda: gateway.app.state.shows.listening == 0)
    async with listening(gateway, uuid4()) as stream:
        await stream.next()
        assert gateway.app.state.shows.listening == 1
        stream.answer.close()
    await eventually(lambda: gateway.app.state.shows.listening == 0)


async def test_heartbeats_keep_a_quiet_stream_open(serve_gateway: Serve) -> None:
    async with serve_gateway(live_heartbeat_seconds=0.05) as gateway, listening(gateway, uuid4()) as stream:
        await stream.next()
        lines = [await asyncio.wait_for(stream.answer.content.readline(), 5) for _ in range(4)]
    assert lines.count(b": still here\n") == 2


async def test_a_listener_that_does_not_read_is_sent_away_and_the_others_stay(serve_gateway: Serve) -> None:
    async with serve_gateway(live_queue=20) as gateway:
        shows: Shows = gateway.app.state.shows
        show = uuid4()
        async with listening(gateway, show) as slow, listening(gateway, show) as quick:
            await slow.next()
            await quick.next()
            seats = [f"seat {number:05} {'x' * 100}" for number in range(200)]
            for number in range(1500):
                shows.handle(event(placed(show, uuid4(), *seats), number))
                await quick.next()
                if number % 50 == 0:
                    await asyncio.sleep(0)
                if shows.listening == 1:
                    break
            told = await slow.next()
            while told.name == "message":
                told = await slow.next()
            assert told.name == "dropped"
            assert told.id is None, "the id of the last change seen stays, to come back with"


async def test_the_number_of_streams_is_limited(serve_gateway: Serve) -> None:
    async with serve_gateway(live_listeners=1) as gateway, listening(gateway, uuid4()) as stream:
        await stream.next()
        assert (await gateway.ask("GET", f"/live/shows/{uuid4()}"))[0] == 503


async def test_one_address_opens_only_so_many_streams(serve_gateway: Serve) -> None:
    settings = {"live_listeners_per_address": 2, "rate_exempt": "", "trusted_proxies": "127.0.0.1"}
    first, second = ({"X-Forwarded-For": f"203.0.113.{number}"} for number in (1, 2))
    async with serve_gateway(**settings) as gateway, contextlib.AsyncExitStack() as stack:
        path = f"{gateway.url}/live/shows/{uuid4()}"
        open_ones = [await stack.enter_async_context(gateway.client.get(path, headers=first)) for _ in range(2)]
        for stream in open_ones:
            await stream.content.readline()
        status, problem = await gateway.ask("GET", f"/live/shows/{uuid4()}", headers=first)
        assert (status, problem["type"]) == (429, "/problems/too-many-requests")
        async with gateway.client.get(path, headers=second) as other:
            assert other.status == 200
        open_ones[0].close()
        await eventually(lambda: gateway.app.state.places.of_client("203.0.113.1") == 1)
        async with gateway.client.get(path, headers=first) as again:
            assert again.status == 200


async def test_streams_end_when_the_gateway_stops(serve_gateway: Serve) -> None:
    async with serve_gateway() as gateway:
        answer = await gateway.client.get(f"{gateway.url}/live/shows/{uuid4()}")
        assert (await Stream(answer).next()).name == "open"
    # Within the harness's grace, or the connection would have been broken off.
    assert (await asyncio.wait_for(answer.content.read(), 30)) == b""
