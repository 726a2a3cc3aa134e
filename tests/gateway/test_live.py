"""Seat changes from Kafka to a browser, with slow listeners and listeners that come back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord

from contracts.envelope import Event, EventData
from contracts.money import Money
from contracts.ticketing import (
    HeldSeat,
    HoldEnd,
    Holder,
    HoldExtended,
    HoldPlaced,
    HoldReleased,
    ShowSaleStopped,
    ShowStatus,
    Ticket,
    TicketsIssued,
    TicketsVoided,
)
from services.gateway.live import DROPPED, Listener, Shows
from tests.gateway.conftest import Gateway, Serve
from tests.harness import Kafka, eventually

NOW = datetime(2026, 11, 22, 19, tzinfo=UTC)
PRICE = Money(minor=10000, currency="UAH")


def placed(show: UUID, hold: UUID, *seats: str) -> HoldPlaced:
    held = tuple(HeldSeat(seat=seat, label=seat, zone_id=hold, zone_name="A", price=PRICE) for seat in seats)
    return HoldPlaced(hold_id=hold, show_id=show, show_name="S", starts_at=NOW, seats=held, total=PRICE, expires_at=NOW)


def released(show: UUID, hold: UUID, *seats: str) -> HoldReleased:
    return HoldReleased(hold_id=hold, show_id=show, seats=seats, reason=HoldEnd.RELEASED)


def extended(show: UUID, hold: UUID, *seats: str) -> HoldExtended:
    return HoldExtended(hold_id=hold, show_id=show, expires_at=NOW, seats=seats)


def tickets(*seats: str) -> tuple[Ticket, ...]:
    holder = Holder(name="T")
    return tuple(
        Ticket(ticket_id=uuid4(), number="1", seat=seat, label=seat, zone_name="A", price=PRICE, holder=holder)
        for seat in seats
    )


def issued(show: UUID, order: UUID, *seats: str) -> TicketsIssued:
    return TicketsIssued(
        order_id=order, show_id=show, show_name="S", starts_at=NOW, hall_name="H", tickets=tickets(*seats), documents=()
    )


def voided(show: UUID, order: UUID, *seats: str) -> TicketsVoided:
    return TicketsVoided(
        order_id=order,
        show_id=show,
        show_name="S",
        starts_at=NOW,
        tickets=tickets(*seats),
        reason="refunded",
        request_id=uuid4(),
    )


def stopped(show: UUID) -> ShowSaleStopped:
    return ShowSaleStopped(
        show_id=show,
        name="S",
        starts_at=NOW,
        hall_id=uuid4(),
        hall_name="H",
        status=ShowStatus.SALES_STOPPED,
        currency="UAH",
        price_zones=(),
        capacity=1,
    )


def event(data: EventData, seconds: float = 0) -> Event[EventData]:
    return Event(id=uuid4(), data=data, organisation=uuid4(), time=NOW + timedelta(seconds=seconds))


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
        await eventually(lambda: gateway.app.state.shows.of_address["203.0.113.1"] == 1)
        async with gateway.client.get(path, headers=first) as again:
            assert again.status == 200


def _shows(history: int = 100) -> Shows:
    return Shows(queue=10, history=history, most_listeners=10)


def _changes(shows: Shows, show: UUID) -> list[dict[str, str]]:
    parts = [part for _, part in shows._show(show).history]
    return [json.loads(part.split(b"data: ")[1])["seats"] for part in parts]


def test_a_late_release_does_not_free_a_seat_that_was_taken_over() -> None:
    shows, show, first, second = _shows(), uuid4(), uuid4(), uuid4()
    shows.handle(event(placed(show, first, "a", "b"), 0))
    shows.handle(event(placed(show, second, "a"), 2))
    shows.handle(event(released(show, first, "a", "b"), 1))
    shows.handle(event(placed(show, first, "a"), 0))
    assert _changes(shows, show) == [{"a": "held", "b": "held"}, {"a": "held"}, {"b": "free"}]


def test_a_hold_that_ran_out_takes_its_seats_again() -> None:
    shows, show, order = _shows(), uuid4(), uuid4()
    for seconds, data in enumerate(
        [
            placed(show, order, "a", "b"),
            extended(show, order, "a", "b"),
            released(show, order, "a", "b"),
            extended(show, order, "a", "b"),
        ]
    ):
        shows.handle(event(data, seconds))
    held, free = {"a": "held", "b": "held"}, {"a": "free", "b": "free"}
    assert _changes(shows, show) == [held, free, held], "each change once; a hold that only lives longer is none"


def test_a_hold_told_after_its_tickets_does_not_unsell() -> None:
    shows, show, order = _shows(), uuid4(), uuid4()
    shows.handle(event(issued(show, order, "a"), 5))
    shows.handle(event(placed(show, order, "a"), 1))
    assert _changes(shows, show) == [{"a": "sold"}]


def test_history_is_short_and_says_so() -> None:
    shows, show = _shows(history=3), uuid4()
    for number in range(10):
        shows.handle(event(placed(show, uuid4(), "a"), number))
    known = shows._show(show)
    assert known.since(f"{known.epoch}-6") is None
    assert len(known.since(f"{known.epoch}-7") or []) == 3
    assert known.since(f"{known.epoch}-10") == []
    assert known.since(f"{known.epoch}-11") is None


async def test_after_a_gap_in_kafka_everybody_is_told() -> None:
    shows, show = _shows(), uuid4()
    stream = shows.stream(show, None, 5)
    assert b"event: open" in await anext(stream)
    old = shows._show(show).epoch
    shows.forget()
    assert b"event: reset" in await anext(stream)
    assert shows._show(show).since(f"{old}-0") is None
    await stream.aclose()
    assert shows.listening == 0


def test_quiet_shows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.live.QUIET_SHOWS", 50)
    shows, first = _shows(), uuid4()
    shows.handle(event(placed(first, uuid4(), "a")))
    epoch = shows._show(first).epoch
    for _ in range(200):
        shows.handle(event(placed(uuid4(), uuid4(), "a")))
    assert len(shows._shows) <= 51
    assert shows._show(first).since(f"{epoch}-1") is None


async def test_a_full_queue_ends_with_one_event() -> None:
    listener = Listener(2)
    for _ in range(5):
        listener.tell(b"change")
    assert [part async for part in listener.parts(1)] == [DROPPED]


async def test_only_the_shows_that_are_looked_at_are_followed() -> None:
    shows = _shows()
    watched, other = uuid4(), uuid4()
    assert not shows.wants(_record(placed(watched, uuid4(), "a")))
    stream = shows.stream(watched, None, 10)
    await anext(stream)
    assert shows.wants(_record(placed(watched, uuid4(), "a")))
    assert not shows.wants(_record(placed(other, uuid4(), "a")))
    assert not shows.wants(_record(issued(other, uuid4(), "a")))
    await stream.aclose()
    assert shows.wants(_record(released(watched, uuid4(), "a"))), "who looked at it may come back"


def _record(data: EventData) -> ConsumerRecord[bytes, bytes]:
    value = data.to_json()
    return ConsumerRecord("t", 0, 0, 0, 0, b"", value, None, 0, len(value), ())
