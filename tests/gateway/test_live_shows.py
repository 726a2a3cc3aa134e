"""What the gateway keeps of the shows that are looked at, and in which order events count. Pure."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord

from contracts.envelope import EventData
from services.gateway.live import DROPPED, Listener, Shows
from tests.gateway.seats import event, extended, issued, placed, released


def _shows(history: int = 100) -> Shows:
    return Shows(queue=10, history=history)


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
