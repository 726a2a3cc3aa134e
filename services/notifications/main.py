"""Puts notifications together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI

from chassis.app import create_app
from chassis.db import Database
from chassis.jobs import Job
from services.notifications import consumers, gauges
from services.notifications.api import router
from services.notifications.delivery.courier import Courier
from services.notifications.documents import Documents
from services.notifications.mail import Mailer, Server
from services.notifications.retention import rules
from services.notifications.settings import Settings
from services.notifications.sms import Sms

DELIVER_EVERY_SECONDS = 0.2
MEASURE_EVERY_SECONDS = 5.0


def create(settings: Settings | None = None) -> FastAPI:
    """The service. Raises `ValueError` for an SMTP_URL that is none."""
    settings = settings or Settings()
    server = Server.parse(settings.smtp_url.get_secret_value())
    mailer = Mailer(server, hello=settings.sender.rpartition("@")[2], data_seconds=settings.smtp_data_seconds)
    courier: Courier | None = None

    async def deliver(db: Database) -> int:
        return await courier.run(db) if courier else 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal courier
        async with aiohttp.ClientSession() as http:
            courier = Courier(
                settings,
                mailer,
                Sms(http, settings.sms_url, settings.sms_token),
                Documents(http, settings.public_url, settings.documents_url),
            )
            yield
            await mailer.close()

    return create_app(
        settings,
        title="Footlights notifications",
        routers=[router],
        consumer=consumers.build(settings),
        job_list=[
            Job("deliver", DELIVER_EVERY_SECONDS, deliver),
            Job("measure", MEASURE_EVERY_SECONDS, gauges.measure, alone=True, leave=gauges.unsay),
        ],
        retention=rules(settings),
        lifespan=lifespan,
    )


app = create()
