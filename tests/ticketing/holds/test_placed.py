"""The event of the hot path is the contract's `HoldPlaced`, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import orjson
import pytest

from chassis import outbox
from contracts.envelope import decode
from contracts.ticketing import HoldPlaced
from services.ticketing.holds import placed
from tests.ticketing.holds.crowd import ask, make_show

NOW = datetime(2026, 5, 1, 18, 30, 15, 123456, UTC)


@pytest.mark.parametrize("account", [None, uuid4()])
@pytest.mark.parametrize("moment", [NOW, NOW.replace(microsecond=0)])
async def test_it_is_the_event_of_the_contract(db, moment, account):
    layout = replace(await make_show(db), name='Тоска "Łódź"')
    request = ask(layout, "1-1", "1-2")
    request.account_id = account
    request.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    value, stored = placed.event(request, moment, moment + timedelta(minutes=15))
    headers = outbox.headers_of(stored)
    event = decode(headers, value.encode())
    assert isinstance(event.data, HoldPlaced)
    assert orjson.loads(value) == orjson.loads(event.data.to_json())
    assert value.encode() == event.data.to_json()
    assert sorted(headers) == sorted(event.headers())
    assert event.key == str(request.hold_id).encode()
    assert [seat.seat for seat in event.data.seats] == ["1-1", "1-2"]
    assert event.data.total.minor == 20_000
