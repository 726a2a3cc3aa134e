"""Sends events to shops: signed, retried with growing pauses, and as badly as the behaviour in force demands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import aiohttp

from deploy.sandbox.behaviour import decide_fate
from deploy.sandbox.payments import Payment, pass_time
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.signing import signature_of
from deploy.sandbox.store import Delivery, Store

log = logging.getLogger("sandbox")

Send = Callable[[str, bytes, dict[str, str]], Awaitable[tuple[bool, str]]]
"""Posts a body with headers to an address: whether it was taken, and the status or the error."""

AFTER_THE_NEXT = 0.05
"""Seconds by which a held back event trails the one that released it."""


def emit(store: Store, payment: Payment, kind: str, now: float) -> str:
    """Records an event about `payment` and plans its deliveries. Runs in the caller's transaction."""
    event_id = f"evt_{uuid4().hex}"
    body = {
        "type": kind,
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(),
        "data": {"payment": payment.id, "reference": payment.reference, "status": payment.status},
    }
    store.add_event(event_id, payment, kind, json.dumps(body, separators=(",", ":")), now)
    if payment.webhook_url is None:
        return event_id
    behaviour = payment.behaviour or store.behaviour()
    fate = decide_fate(behaviour, store.next_event_number())
    store.release_held_back(payment.id, now + AFTER_THE_NEXT)
    if not fate.delays:
        store.add_delivery(event_id, now, state="lost")
    for delay in fate.delays:
        store.add_delivery(event_id, now + delay, held_back=fate.held_back)
    return event_id


def signed_headers(settings: SandboxSettings, event_id: str, body: bytes, now: float) -> dict[str, str]:
    """Every attempt is signed with its own time, so that a late one is not taken for a replay."""
    timestamp = int(now)
    return {
        "content-type": "application/json",
        "user-agent": "Footlights-Sandbox",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature_of(settings.webhook_secret.get_secret_value(), event_id, timestamp, body),
    }


class Courier:
    """Carries deliveries out as they fall due, and does what the clock does to payments."""

    CONCURRENT = 64
    LEASE = 5.0
    """Seconds beyond the time-out after which a delivery is taken again, its process having died."""

    def __init__(self, store: Store, settings: SandboxSettings, send: Send) -> None:
        self._store = store
        self._settings = settings
        self._send = send
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Something new may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    pause = 0.0 if self.step(time.time()) else self._pause_until_due()
                except Exception:
                    log.exception("deliveries stopped for a second")
                    pause = 1.0
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        finally:
            for task in self._under_way:
                task.cancel()

    def _pause_until_due(self) -> float:
        due = self._store.next_due()
        full = len(self._under_way) >= self.CONCURRENT
        return 60.0 if due is None or full else min(60.0, max(0.0, due - time.time()))

    def step(self, now: float) -> list[asyncio.Task[None]]:
        """Starts what is due at `now`."""
        for payment in self._store.payments_due(now):
            with self._store.transaction():
                kinds = pass_time(payment, now)
                self._store.save(payment)
                for kind in kinds:
                    emit(self._store, payment, kind, now)
        free = self.CONCURRENT - len(self._under_way)
        lease = now + self._settings.webhook_timeout + self.LEASE
        with self._store.transaction():
            taken = self._store.take_deliveries(now, free, lease)
        return [self._start(delivery, now) for delivery in taken]

    def _start(self, delivery: Delivery, now: float) -> asyncio.Task[None]:
        task = asyncio.create_task(self._deliver(delivery, now))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.wake()

    async def _deliver(self, delivery: Delivery, now: float) -> None:
        body = delivery.body.encode()
        taken, outcome = await self._send(
            delivery.url, body, signed_headers(self._settings, delivery.event_id, body, now)
        )
        if taken:
            self._store.mark_delivery(delivery.id, "delivered", outcome, now)
        elif delivery.attempts + 1 >= self._settings.webhook_attempts:
            self._store.mark_delivery(delivery.id, "gave_up", outcome, now)
            log.warning("gave up webhook %s after %d attempts: %s", delivery.event_id, delivery.attempts + 1, outcome)
        else:
            self._store.mark_delivery(delivery.id, "waiting", outcome, now + self._pause(delivery.attempts))

    def _pause(self, attempts: int) -> float:
        longest = min(self._settings.webhook_longest_retry, self._settings.webhook_first_retry * 2.0**attempts)
        return longest * random.uniform(0.75, 1.25)


def over_http(session: aiohttp.ClientSession) -> Send:
    """Posts without following redirects: another address than the shop named is not the shop."""

    async def send(url: str, body: bytes, headers: dict[str, str]) -> tuple[bool, str]:
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status < 300, str(response.status)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            return False, type(error).__name__

    return send
