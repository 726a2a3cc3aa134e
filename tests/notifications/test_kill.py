"""The service is killed in the middle of its work, again and again: every ticket is mailed exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any
from uuid import uuid4

import pytest

from contracts.envelope import Event
from contracts.orders import Participant
from deploy.platform.processes import free_ports
from tests.events import publish
from tests.harness import ROOT, Kafka, Postgres, TokenMint, eventually
from tests.notifications import story
from tests.notifications.conftest import open_office
from tests.notifications.servers import SmtpServer

ORDERS, KILLS = 40, 4


@pytest.mark.slow
async def test_killed_midway_every_ticket_arrives_once(
    postgres: Postgres, own_kafka: Kafka, tokens: TokenMint, smtp: SmtpServer
):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    smtp.delay_seconds = 0.03
    async with open_office(postgres, tokens, smtp) as office:
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            "PORT": str(port),
            "DATABASE_API_URL": office.settings.database_api_url,
            "DATABASE_WORKER_URL": office.settings.database_worker_url,
            "KAFKA_BOOTSTRAP_SERVERS": own_kafka.bootstrap_servers,
            "AUTH_JWKS": tokens.jwks,
            "PUBLIC_URL": office.documents.url,
            "SMTP_URL": smtp.url,
            "LEASE_SECONDS": "1.5",
            "LOG_LEVEL": "WARNING",
        }

        async def start() -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chassis.run", "notifications", cwd=ROOT, env=environment
            )

        organisation = uuid4()
        events: list[Event[Any]] = [story.organisation(organisation)]
        addresses: list[str] = []
        for number in range(ORDERS):
            guests = [Participant(name="Гість", email=f"guest{number}-{n}@example.com") for n in range(2)]
            addresses += [guest.email for guest in guests if guest.email]
            told = story.Story(organisation, guests=guests, public=office.documents.url)
            events += [told.placed(), told.paid(), told.issued()]
        process = await start()
        try:
            await publish(own_kafka.bootstrap_servers, events)
            for _ in range(KILLS):
                before = len(smtp.mails)
                await eventually(lambda: len(smtp.mails) > before, timeout=60)  # noqa: B023
                await asyncio.sleep(chance.uniform(0, 0.5))
                process.kill()
                await process.wait()
                process = await start()

            async def all_sent() -> bool:
                return len(await office.messages(template="tickets_issued", status="sent")) == len(addresses)

            await eventually(all_sent, timeout=90)
        finally:
            process.terminate()
            await process.wait()
        # Whoever keeps mails by Message-ID has each exactly once. On the wire at most one mail per kill and connection
        # came twice: the one that the server had taken and we had not yet recorded.
        assert sorted({str(mail["To"].addresses[0].addr_spec) for mail in smtp.mails}) == sorted(addresses)
        assert len(smtp.message_ids) == len(addresses)
        print(f"{len(smtp.mails)} mails for {len(addresses)} messages after {KILLS} kills")
        repeated = [count for count in smtp.message_ids.values() if count > 1]
        assert len(smtp.mails) - len(addresses) <= KILLS * office.settings.smtp_connections, repeated
        for mail in smtp.mails:
            assert len(list(mail.iter_attachments())) == 1
