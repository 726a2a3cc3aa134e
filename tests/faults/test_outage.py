"""Kafka away for several times as long as seats are held, in the middle of an on-sale."""

from __future__ import annotations

import pytest

from tests.faults.outage import run


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_nobody_who_paid_in_time_loses_the_seats_while_kafka_is_away() -> None:
    outcome = await run(seconds=12, period_seconds=3)
    assert outcome.paid
    assert outcome.refused, "nobody wanted the seats of another, so this has shown nothing"
    assert not outcome.lost
