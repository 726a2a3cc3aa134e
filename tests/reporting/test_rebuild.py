"""The read models can be thrown away: rebuilt from the archive they are the same, byte for byte."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from contracts.envelope import Event
from services.reporting.fill import fill
from services.reporting.main import create
from services.reporting.rebuild import ONE_AT_A_TIME, RebuildRunning, WouldLose, rebuild
from tests.events import OrderStory, organisation_registered, publish, show_created
from tests.harness import ROOT, Kafka, Postgres, TokenMint, eventually, serve
from tests.reporting.conftest import Service, settings_for
from tests.reporting.tables import contents


def season(orders: int, seed: int) -> tuple[Any, Any, list[Event[Any]]]:
    """Events of some orders, with duplicates and disorder."""
    chance = random.Random(seed)
    organisation, show = uuid4(), uuid4()
    events: list[Event[Any]] = []
    for _ in range(orders):
        story = OrderStory(organisation, show=show, seats=chance.randint(1, 4), minor=chance.randint(1, 9_999))
        story.placed()
        if chance.random() < 0.8:
            story.paid()
            story.issued()
        if story.payments and chance.random() < 0.3:
            story.refund()
        events += story.events
    events += chance.sample(events, len(events) // 3)
    chance.shuffle(events)
    return organisation, show, [organisation_registered(organisation), show_created(organisation, show), *events]


async def read(service: Service) -> dict[str, list[str]]:
    async with service.db.as_worker() as session:
        return await contents(session)


async def handled(service: Service, count: int) -> bool:
    async with service.db.as_worker() as session:
        return bool(await session.scalar(text("SELECT count(*) FROM inbox")) == count)


async def test_a_rebuild_while_the_service_runs(postgres: Postgres, own_kafka: Kafka, tokens: TokenMint) -> None:
    urls = await postgres.create_database("reporting")
    settings = settings_for(urls, own_kafka, tokens)
    organisation, _, events = season(120, seed=7)
    later_organisation, later_show, later = season(60, seed=8)
    ids = {event.id for event in events}
    app = create(settings)
    async with serve(app) as url, aiohttp.ClientSession() as http:
        service = Service(url, tokens, app.state.db, settings, http)
        await publish(own_kafka.bootstrap_servers, events)
        await send_rubbish(own_kafka)
        await eventually(lambda: handled(service, len(ids)), timeout=40)
        live = await read(service)

        done = await rebuild(settings)
        assert (done.events, done.skipped) == (len(ids), 0)
        assert await read(service) == live
        # The archive has all of it: nothing of the topics is new to it.
        assert await fill(settings) == (len(events) + 3, 0)

        # The same with damaged rows, and with a service that goes on handling events and answering meanwhile.
        async with service.db.as_worker() as session:
            await session.execute(text("DELETE FROM movement"))
            await session.execute(text("UPDATE order_row SET stage = 'lost'"))
        stop = asyncio.Event()
        reading = asyncio.create_task(keep_reading(service, organisation, stop))
        telling = asyncio.create_task(publish(own_kafka.bootstrap_servers, later))
        await rebuild(settings)
        await telling
        stop.set()
        assert await reading > 0
        both = len(ids) + len({event.id for event in later})
        await eventually(lambda: handled(service, both), timeout=40)
        after = await read(service)
        for table, rows in live.items():
            assert set(rows) <= set(after[table])

        # The tables are as they were: the API still reads them under row-level security.
        totals = await service.get(f"/shows/{later_show}/totals", later_organisation)
        assert totals["orders"] == 60
        assert (await service.get("/totals", uuid4()))["orders"] == 0

        said = await command_line("rebuild", urls.environment())
        assert said == f"rebuilt from {both} facts: 0 skipped"
        assert await read(service) == after

        # Reports that are older than the archive are not replaced by less, and the topics fill the gap.
        async with service.db.as_worker() as session:
            await session.execute(text("DELETE FROM fact"))
        with pytest.raises(WouldLose, match="order_row 0 instead of 180"):
            await rebuild(settings)
        assert await read(service) == after
        kafka_too = {**urls.environment(), "KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers}
        said = await command_line("fill", kafka_too)
        assert said.endswith(f" records: {both} facts were new")
        await rebuild(settings)
        assert await read(service) == after
        await check_schema(urls.environment())
    await postgres.drop_database(urls)


async def test_one_rebuild_at_a_time(postgres: Postgres, kafka: Kafka, tokens: TokenMint) -> None:
    urls = await postgres.create_database("reporting")
    settings = settings_for(urls, kafka, tokens)
    app = create(settings)
    connection = await app.state.db.pin()
    await connection.execute(f"SELECT pg_advisory_lock({ONE_AT_A_TIME})")
    try:
        await rebuild(settings)
    except RebuildRunning:
        pass
    else:
        raise AssertionError("a second rebuild must be refused")
    finally:
        await connection.close()
        await app.state.db.close()
        await postgres.drop_database(urls)


async def send_rubbish(kafka: Kafka) -> None:
    """Records that are no events of ours: the service makes dead letters of them or skips them."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait("orders.order", b"{", headers=[("ce_type", b"orders.order.paid.v1")])
        await producer.send_and_wait("orders.order", b"{}", headers=[("ce_type", b"orders.order.dreamt.v9")])
        await producer.send_and_wait("orders.payment", b"\xff\x00", headers=[])
    finally:
        await producer.stop()


async def keep_reading(service: Service, organisation: Any, stop: asyncio.Event) -> int:
    """Reads reports all the time; none fails and none shows an emptied table."""
    count = 0
    while not stop.is_set():
        assert (await service.get("/totals", organisation))["orders"] == 120
        count += 1
        await asyncio.sleep(0.01)
    return count


async def command_line(module: str, environment: dict[str, str]) -> str:
    """As an operator runs it; its last line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"services.reporting.{module}"),
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode().strip().splitlines()[-1]


async def check_schema(environment: dict[str, str]) -> None:
    """Alembic finds no difference between the exchanged tables and the models."""
    code = (
        "import os; from alembic import command; from chassis.migrations import config; "
        "command.check(config('reporting', os.environ['DATABASE_URL']))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
