"""Keeps the claim on messages while they are being sent, however slow the mail server is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from chassis.db import Database
from chassis.logging import get_logger
from services.notifications.delivery.claims import renew

log = get_logger(__name__)


class Lease:
    """Claims of one sender. Another one takes a message over when its lease was not renewed in time."""

    def __init__(self, attempts: Iterable[UUID], seconds: float, claimed_at: float) -> None:
        self._held = set(attempts)
        self._seconds = seconds
        self._until = claimed_at + seconds

    def holds(self, attempt: UUID) -> bool:
        """Whether the attempt may begin: nobody else can have claimed its message."""
        return attempt in self._held and time.monotonic() < self._until

    async def keep(self, db: Database) -> None:
        """Renews three times per lease, until cancelled."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            await self.renew(db)

    async def renew(self, db: Database) -> None:
        """Makes the claims last from now on, except those that another sender has taken over."""
        before = time.monotonic()
        try:
            async with db.as_worker() as session:
                self._held = await renew(session, sorted(self._held), self._seconds)
        except Exception as error:
            log.warning("lease not renewed", error=repr(error))
        else:
            self._until = before + self._seconds


@contextlib.asynccontextmanager
async def kept(lease: Lease, db: Database) -> AsyncIterator[Lease]:
    """Renews `lease` while inside."""
    keeper = asyncio.create_task(lease.keep(db))
    try:
        yield lease
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
