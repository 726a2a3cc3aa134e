"""Notifications on a database of its own, with a mail server, an SMS provider and a document server of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from sqlalchemy import select, text

from chassis import inbox
from chassis.db import Database
from contracts.envelope import Event
from deploy.platform.databases import DatabaseUrls
from services.notifications import consumers
from services.notifications.delivery.courier import Courier
from services.notifications.documents import Documents
from services.notifications.lanes import Lane
from services.notifications.mail import Mailer, Server
from services.notifications.models import Attempt, Message
from services.notifications.settings import Settings
from services.notifications.sms import Sms
from tests.harness import Kafka, Postgres, TokenMint
from tests.notifications import story
from tests.notifications.servers import DocumentServer, SmsServer, SmtpServer, listening


def settings_for(urls: DatabaseUrls, tokens: TokenMint, kafka: Kafka | None = None, **more: Any) -> Settings:
    return Settings(
        footlights_env="test",
        database_url=urls.owner,
        database_api_url=urls.api,
        database_worker_url=urls.worker,
        kafka_bootstrap_servers=kafka.bootstrap_servers if kafka else "127.0.0.1:1",
        auth_jwks=tokens.jwks,
        log_level="WARNING",
        log_format="console",
        **more,
    )


@dataclass
class Office:
    """The service without its HTTP and Kafka edges: events are fed in, and replicas of its courier sent out."""

    settings: Settings
    db: Database
    smtp: SmtpServer
    documents: DocumentServer
    sms: SmsServer
    http: aiohttp.ClientSession
    organisation: UUID = field(default_factory=uuid4)

    def story(self, **more: Any) -> story.Story:
        return story.Story(self.organisation, public=self.documents.url, **more)

    async def hear(self, *events: Event[Any]) -> None:
        """Handles events as the consumer does, each in a transaction, skipping those heard before."""
        handlers = consumers.build(self.settings).handlers
        for one in events:
            async with self.db.as_worker() as session:
                if await inbox.record(session, "notifications", [one.id]):
                    await handlers[one.type](session, one)

    async def hear_organisation(self, **settings: Any) -> None:
        await self.hear(story.organisation(self.organisation, **settings))

    def courier(self, lane: Lane = Lane.ORDINARY, **settings: Any) -> Courier:
        chosen = self.settings.model_copy(update=settings)
        mailer = Mailer(Server.parse(self.smtp.url), hello="test.local", data_seconds=chosen.smtp_data_seconds)
        return Courier(
            chosen,
            mailer,
            Sms(self.http, chosen.sms_url, chosen.sms_token),
            Documents(self.http, chosen.public_url, chosen.documents_url),
            lane,
        )

    async def deliver(self, courier: Courier | None = None) -> int:
        """Sends all that is due now."""
        done = 0
        for each in [courier] if courier else [self.courier(lane) for lane in Lane]:
            while batch := await each.run(self.db):
                done += batch
        return done

    async def messages(self, **where: Any) -> list[Message]:
        async with self.db.as_worker() as session:
            rows = await session.scalars(select(Message).filter_by(**where).order_by(Message.created_at))
            return list(rows)

    async def only(self, **where: Any) -> Message:
        (message,) = await self.messages(**where)
        return message

    async def attempts(self, message: Message) -> list[Attempt]:
        async with self.db.as_worker() as session:
            rows = await session.scalars(
                select(Attempt).where(Attempt.message_id == message.message_id).order_by(Attempt.started_at)
            )
            return list(rows)

    async def hurry(self, *, reminders: bool = False) -> None:
        """Makes due what waits for its time (of reminders only if asked), as if the time had come."""
        waiting = "status IN ('pending', 'sending')" + ("" if reminders else " AND template <> 'show_reminder'")
        async with self.db.as_worker() as session:
            await session.execute(text(f"UPDATE message SET due_at = now(), context_by = now() WHERE {waiting}"))


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    server = SmtpServer()
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def open_office(postgres: Postgres, tokens: TokenMint, smtp: SmtpServer) -> AsyncIterator[Office]:
    urls = await postgres.create_database("notifications")
    async with (
        listening(DocumentServer()) as documents,
        listening(SmsServer()) as sms,
        aiohttp.ClientSession() as http,
    ):
        assert isinstance(sms, SmsServer)
        settings = settings_for(urls, tokens, public_url=documents.url, sms_url=f"{sms.url}/send", lease_seconds=2.0)
        db = Database(settings)
        yield Office(settings, db, smtp, documents, sms, http)
        await db.close()
    await postgres.drop_database(urls)


@pytest.fixture
async def office(postgres: Postgres, tokens: TokenMint, smtp: SmtpServer) -> AsyncIterator[Office]:
    async with open_office(postgres, tokens, smtp) as made:
        yield made
