"""An installation that is watched: people who buy from it, its databases and topics, and what fires and ends."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import asyncpg
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from deploy.demo.client import Client
from deploy.demo.story import Purchase, Story
from deploy.demo.venue import EMAIL, PASSWORD, THEATRE, found_organisation, open_show
from deploy.platform import Platform, topics
from tests.alerts.monitoring import Monitoring
from tests.harness import eventually
from tests.notifications.servers import SmtpServer

SHORT_SECONDS = 8
CALM_SECONDS = 6


@dataclass
class Installation:
    platform: Platform
    watch: Monitoring
    mail: SmtpServer
    """Of the buyers; the operators have one of their own."""
    staff: Client
    usual: Story
    short: Story
    """A show whose holds and orders live for seconds."""
    seen: set[str] = field(default_factory=set)
    """Alerts that have fired for their fault."""
    wrong: list[str] = field(default_factory=list)
    _people: int = 0

    @classmethod
    @asynccontextmanager
    async def prepared(cls, platform: Platform, watch: Monitoring, mail: SmtpServer) -> AsyncIterator[Self]:
        await found_organisation(platform)
        async with Client(platform.gateway) as staff:
            await staff.sign_in(EMAIL, PASSWORD)
            stories = []
            for number, period in enumerate((None, SHORT_SECONDS)):
                _, show = await open_show(staff, json.loads(THEATRE.read_text()), period)
                story = Story(staff.gateway, show["show_id"], f"{number:06x}", random.Random(number))
                await story.look(staff)
                stories.append(story)
            made = cls(platform, watch, mail, staff, *stories)
            await made.buy()
            await watch.watches()
            yield made

    async def together(self, *faults: Callable[[], Awaitable[None]]) -> None:
        """Makes faults that do not disturb each other. What goes wrong in one of them is told at the end of all."""
        results = await asyncio.gather(*(fault() for fault in faults), return_exceptions=True)
        for fault, result in zip(faults, results, strict=True):
            if isinstance(result, Exception):
                self.wrong.append(f"{fault.__name__}: {result!r}")  # type: ignore[attr-defined]
                print(self.wrong[-1], flush=True)

    async def fires(self, alert: str, **labels: str) -> None:
        await self.watch.fires(alert, **labels)
        self.seen.add(alert)
        print(time.strftime("%X"), alert, flush=True)

    # What nobody has done anything to.

    async def nothing_fires(self) -> None:
        """Of a platform in order only the watchdog is heard, for some time on end."""
        calm = 0

        async def check() -> bool:
            nonlocal calm
            firing = {labels["alertname"] for labels in await self.watch.firing()}
            calm = calm + 1 if firing == {"Watchdog"} else 0
            return calm >= CALM_SECONDS * 2

        await eventually(check, timeout=120, interval=0.5)

    def person(self) -> Any:
        self._people += 1
        return self.usual.person(self._people)

    async def order(self, client: Client, story: Story | None = None, seats: int = 1) -> Purchase:
        """An order that waits for its money, with its card page."""
        story = story or self.usual
        return await story.start(client, self.person(), "orders", story.some(seats))

    async def buy(self, seats: int = 1) -> Purchase:
        """An order that is paid and confirmed."""
        async with Client(self.platform.gateway) as client:
            purchase = await self.order(client, seats=seats)
            await client.pay_by_card(purchase.page)
            await self.usual.until(client, purchase, lambda order: order["confirmed_at"] is not None)
            return purchase

    def url(self, database: str) -> str:
        """The superuser's."""
        assert self.platform.postgres is not None
        return self.platform.postgres.url(database)

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self.url(service if service == "postgres" else f"footlights_{service}"))
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def send(self, topic: str, values: list[Any]) -> None:
        """Writes records behind everybody's back; with headers if they are pairs."""
        async with AIOKafkaProducer(bootstrap_servers=self.platform.kafka_bootstrap_servers) as producer:
            sent = []
            for value in values:
                content, headers = value if isinstance(value, tuple) else (value, [])
                sent.append(await producer.send(topic, content, headers=headers))
            await asyncio.gather(*sent)

    async def a_record(self) -> tuple[bytes, list[tuple[str, bytes]]]:
        """An event of `orders.payment` as it was published, of a type that reporting does not handle."""
        async with self.database("orders") as orders:
            row = await orders.fetchrow("""
                SELECT value, headers FROM outbox_published
                WHERE topic = 'orders.payment' AND headers::text LIKE '%payment.started%' LIMIT 1
            """)
        assert row is not None
        return row["value"], [(name, value.encode()) for name, value in json.loads(row["headers"])]

    async def configure(self, topic: str, name: str, value: str) -> None:
        async with topics.administration(self.platform.kafka_bootstrap_servers) as admin:
            entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
            await topics.done(admin.incremental_alter_configs([change]))

    def _told(self, who: str, alert: str) -> bool:
        mails = self.watch.mail.to(f"{who}@footlights.example")
        return any(alert in str(mail["Subject"]) for mail in mails)
