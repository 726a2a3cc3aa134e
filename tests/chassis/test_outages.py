"""The database or the broker is away for 20 s: both come back, nothing is lost or doubled, nothing of ours restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy.exc import SQLAlchemyError

from chassis.db import Database
from chassis.relay import Relay
from chassis.runner import ConsumerRunner
from tests.chassis import probe
from tests.chassis.probe import changed, new_customers, running, tally
from tests.harness import Kafka, Postgres, eventually

AWAY_SECONDS = 20
WRITERS = 4


class Platform:
    """Writers that note what was acknowledged, a relay and a consumer, on servers of their own."""

    def __init__(self, db: Database, customers: list[UUID]) -> None:
        self.db = db
        self.acknowledged: dict[UUID, list[str]] = {customer: [] for customer in customers}
        self.writing = True

    async def write(self, customer: UUID) -> None:
        number = 0
        while self.writing:
            number += 1
            try:
                await probe.publish(self.db, [changed(customer, str(number))])
            except (SQLAlchemyError, OSError):
                # Unknown whether it committed: the next number tells the two apart.
                await asyncio.sleep(0.2)
            else:
                self.acknowledged[customer].append(str(number))
                await asyncio.sleep(0.02)

    async def wrote(self, more: int) -> None:
        target = {customer: len(names) + more for customer, names in self.acknowledged.items()}
        await eventually(lambda: all(len(self.acknowledged[c]) >= n for c, n in target.items()), timeout=40)


@asynccontextmanager
async def platform(postgres: Postgres, kafka: Kafka) -> AsyncIterator[Platform]:
    settings = probe.settings_for(await probe.create_database(postgres), kafka)
    async with probe.database(settings) as db:
        site = Platform(db, new_customers(WRITERS))
        async with (
            running(Relay(db, kafka.bootstrap_servers, "probe").run()),
            running(ConsumerRunner(probe.consumer("probe"), db, settings).run()),
        ):
            writers = [asyncio.create_task(site.write(customer)) for customer in site.acknowledged]
            try:
                await site.wrote(5)
                yield site
            finally:
                site.writing = False
                await asyncio.gather(*writers, return_exceptions=True)


async def all_arrived_once(site: Platform) -> None:
    for customer, acknowledged in site.acknowledged.items():

        async def complete(customer: UUID = customer, acknowledged: list[str] = acknowledged) -> bool:
            return set(acknowledged) <= set(await tally(site.db, customer))

        await eventually(complete, timeout=60)
        names = await tally(site.db, customer)
        assert len(names) == len(set(names)), "an event took effect twice"
        assert names == sorted(names, key=int), "events of a key came out of order"


async def away(stop: Callable[[], None], start: Callable[[], None], meanwhile: Callable[[], Awaitable[None]]) -> None:
    await asyncio.to_thread(stop)
    try:
        await meanwhile()
        await asyncio.sleep(AWAY_SECONDS)  # the length of the outage, not a wait for an event
    finally:
        await asyncio.to_thread(start)


@pytest.mark.slow
async def test_the_broker_away_for_20_s(own_postgres: Postgres, own_kafka: Kafka) -> None:
    async with platform(own_postgres, own_kafka) as site:

        async def commands_are_still_accepted() -> None:
            await site.wrote(10)

        await away(own_kafka.kill, own_kafka.start, commands_are_still_accepted)
        await site.wrote(5)
        site.writing = False
        await all_arrived_once(site)


@pytest.mark.slow
async def test_the_database_away_for_20_s(own_postgres: Postgres, own_kafka: Kafka) -> None:
    async def nothing() -> None:
        """Commands fail meanwhile."""

    async with platform(own_postgres, own_kafka) as site:
        await away(own_postgres.kill, own_postgres.start, nothing)
        await site.wrote(5)
        site.writing = False
        await all_arrived_once(site)
