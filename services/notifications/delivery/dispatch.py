"""The couriers of a process: for each lane as many as it may have connections to the mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from fastapi import FastAPI

from chassis.db import Database
from chassis.jobs import Job
from services.notifications.delivery.courier import Courier
from services.notifications.documents import Documents
from services.notifications.lanes import Lane
from services.notifications.mail import Mailer, Server
from services.notifications.settings import Settings
from services.notifications.sms import Sms

DELIVER_EVERY_SECONDS = 0.2
REST_SECONDS = 2.0
"""Of all couriers of a lane but the first: while there is little to do, they need not ask as often."""


class Dispatch:
    """Opened with the service. Raises `ValueError` for an SMTP_URL that is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = Server.parse(settings.smtp_url.get_secret_value())
        self._desks = [(lane, number) for lane in Lane for number in range(settings.smtp_connections)]
        self._couriers: dict[tuple[Lane, int], Courier] = {}

    @asynccontextmanager
    async def open(self, _: FastAPI) -> AsyncIterator[None]:
        settings = self._settings
        mailers = {desk: Mailer.of(self._server, settings) for desk in self._desks}
        async with aiohttp.ClientSession() as http:
            sms = Sms(http, settings.sms_url, settings.sms_token)
            documents = Documents(http, settings.public_url, settings.documents_url)
            self._couriers = {
                (lane, number): Courier(settings, mailer, sms, documents, lane)
                for (lane, number), mailer in mailers.items()
            }
            yield
            for mailer in mailers.values():
                await mailer.close()

    def jobs(self) -> list[Job]:
        return [
            Job(
                f"deliver {lane.name.lower()} {number + 1}",
                DELIVER_EVERY_SECONDS,
                partial(self._deliver, lane, number),
                rest_seconds=REST_SECONDS if number else 0,
            )
            for lane, number in self._desks
        ]

    async def _deliver(self, lane: Lane, number: int, db: Database) -> int:
        return await self._couriers[lane, number].run(db)
