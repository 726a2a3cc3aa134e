"""How often something may be tried: passwords, codes, letters. Counted in PostgreSQL, for all processes together.

A stranger's failures must not stop the owner. So a browser that the person has signed in with before (a device cookie)
is counted by itself alone, and so is each network for an account. What stops a guess from many networks closes the
password to unknown browsers only, and a mailed link opens the account in any case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlalchemy import text

from chassis.db import Database
from chassis.letters import PLATFORM
from chassis.links import Links
from chassis.problems import Unauthorised
from services.gateway.errors import TooManyAttempts
from services.gateway.settings import Settings

WINDOW_SECONDS = 15 * 60
WIDER = 5
DEVICE_DAYS = 180
DEVICE = "device"

# The bucket of a key fills by one with each try and empties by one every `step`; a full one lets nothing in, and is not
# made fuller by who keeps trying.
TAKE = text("""
    INSERT INTO guess AS g (key, until) VALUES (:key, clock_timestamp() + CAST(:step AS interval))
    ON CONFLICT (key) DO UPDATE SET until = greatest(g.until, clock_timestamp()) + CAST(:step AS interval)
    WHERE greatest(g.until, clock_timestamp()) + CAST(:step AS interval)
          <= clock_timestamp() + CAST(:window AS interval) + interval '1 millisecond'
    RETURNING true
""")
WAIT = text("""
    SELECT extract(epoch FROM until + CAST(:step AS interval) - CAST(:window AS interval) - clock_timestamp())
    FROM guess WHERE key = :key
""")
GIVE_BACK = text("UPDATE guess SET until = until - CAST(:step AS interval) WHERE key = :key")
FORGET = text("DELETE FROM guess WHERE key = :key")


@dataclass(frozen=True, slots=True)
class Limit:
    """`most` tries in `seconds` for whatever the parts name; the ones that succeed do not count.

    With `forgotten`, a success forgets the failures before it, too.
    """

    parts: tuple[str, ...]
    most: int
    seconds: float = WINDOW_SECONDS
    forgotten: bool = False

    @property
    def key(self) -> bytes:
        return sha256("\0".join(self.parts).encode()).digest()

    @property
    def step(self) -> timedelta:
        return timedelta(seconds=self.seconds / self.most)

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.seconds)


class Attempts:
    """Counts before it is known whether a try succeeds, so that tries at the same moment count, too."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._failures = settings.sign_in_failures
        self._links = Links(settings.link_secret)

    def of_sign_in(self, email: str, network: str, device: str | None) -> list[Limit]:
        """What a password given for an address is counted by; `device` is a known one's (see `known_device`)."""
        if device is not None:
            return [Limit((DEVICE, device), self._failures, forgotten=True)]
        return [
            Limit(("pair", email, network), self._failures, forgotten=True),
            Limit(("account", email), self._failures * WIDER),
            Limit(("network", network), self._failures * WIDER),
        ]

    def of_account(self, what: str, account_id: UUID) -> list[Limit]:
        """For what somebody tries who is signed in."""
        return [Limit((what, str(account_id)), self._failures, forgotten=True)]

    async def start(self, limits: Sequence[Limit]) -> None:
        """Counts a try. Raises `TooManyAttempts`, and then counts nothing."""
        async with self._db.as_worker() as session:
            # In one order, so that two tries never wait for each other in a circle.
            for limit in sorted(limits, key=lambda limit: limit.key):
                place = {"key": limit.key, "step": limit.step, "window": limit.window}
                if await session.scalar(TAKE, place) is None:
                    wait = await session.scalar(WAIT, place)
                    raise TooManyAttempts(
                        "Too many attempts. Wait, or ask for a link by e-mail (POST /auth/letters): it opens the"
                        " account at any time.",
                        retry_after=max(math.ceil(wait or 0), 1),
                    )

    async def succeeded(self, limits: Sequence[Limit]) -> None:
        """The last try was no failure."""
        async with self._db.as_worker() as session:
            for limit in sorted(limits, key=lambda limit: limit.key):
                if limit.forgotten:
                    await session.execute(FORGET, {"key": limit.key})
                else:
                    await session.execute(GIVE_BACK, {"key": limit.key, "step": limit.step})

    def device_of(self, account_id: UUID) -> str:
        """The secret for the cookie of a browser that an account was opened in."""
        ttl = timedelta(days=DEVICE_DAYS).total_seconds()
        return self._links.sign(DEVICE, account_id, PLATFORM, ttl_seconds=ttl, since=datetime.now(UTC))

    def known_device(self, cookie: str | None, account_id: UUID | None) -> str | None:
        """The cookie, if the account was opened in this browser before."""
        try:
            return cookie if cookie and self._links.verify(DEVICE, cookie).subject == account_id else None
        except Unauthorised:
            return None
