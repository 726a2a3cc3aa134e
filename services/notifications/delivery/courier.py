"""Sends what is due.

A message goes out once, with one honest exception: when this process dies, or the connection breaks, after a mail's
last byte was sent and before the server's "250" is committed here, the mail is sent a second time, with the same
Message-ID. An SMS in that state is not sent again but shown to staff as failed. Everything else - duplicate events,
several replicas, restarts, retries, a database that is away - leads to exactly one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage

from opentelemetry.trace import SpanKind

from chassis import tracing
from chassis.db import Database
from chassis.errors import is_passing
from chassis.logging import get_logger
from contracts.notifications import Channel
from services.notifications import metrics
from services.notifications.bounces.report import names_no_address
from services.notifications.delivery import claims, parcel
from services.notifications.delivery.claims import Claimed
from services.notifications.delivery.lease import Lease, kept
from services.notifications.delivery.parcel import Target
from services.notifications.delivery.verdicts import DeliveryError, Refused, TryLater, Unknown, Unreachable
from services.notifications.documents import Documents, Withdrawn
from services.notifications.lanes import Lane
from services.notifications.mail import File, Mailer, compose
from services.notifications.models import Status
from services.notifications.settings import Settings
from services.notifications.sms import Sms
from services.notifications.suppressions import suppress

log = get_logger(__name__)

RETRY_SECONDS = (1.0, 900.0)
OUTAGE_SECONDS = (0.5, 10.0)
LAST_WORDS_SECONDS = 6.0
"""How long a mail that is being handed over may take when the process is asked to stop."""
FETCHES_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message ready to be handed over: a mail, or the text of an SMS."""

    message: Claimed
    to: Target
    content: EmailMessage | str
    attachments: int = 0


class Courier:
    """Claims messages of one lane that are due and hands them over, one after another, while those behind are still
    written. A lane may have several couriers, each with a connection of its own to the mail server."""

    def __init__(self, settings: Settings, mailer: Mailer, sms: Sms, documents: Documents, lane: Lane) -> None:
        self._settings = settings
        self._lane = lane
        self._mailer = mailer
        self._sms = sms
        self._documents = documents
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._outages = 0
        self._closed_until = 0.0

    async def run(self, db: Database) -> int:
        """Sends one batch. Returns how many messages it has dealt with; 0 while the mail server is away."""
        if time.monotonic() < self._closed_until:
            return 0
        lease_seconds = self._settings.lease_seconds
        claimed_at = time.monotonic()
        async with db.as_worker() as session:
            messages = await claims.claim(session, self._lane, self._settings.delivery_batch, lease_seconds)
        if not messages:
            return 0
        lease = Lease([message.attempt_id for message in messages], lease_seconds, claimed_at)
        async with kept(lease, db):
            waiting = list(messages)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._prepare(db, message)) for message in messages]
                    for message, task in zip(messages, tasks, strict=True):
                        ready = await task
                        # From here on it is not given back: if we die now, nobody knows whether it went out.
                        waiting.remove(message)
                        if ready is not None and not await self._hand_over(db, ready, lease):
                            waiting.append(message)
                            break
            finally:
                # The mail server is away, or we are asked to stop: others need not wait for the lease to end.
                await self._release(db, waiting)
        return len(messages) - len(waiting)

    async def _prepare(self, db: Database, message: Claimed) -> Parcel | None:
        """The message ready to go; `None` if it is dealt with already."""
        if message.cut_off is not None:
            metrics.UNCERTAIN.labels(message.channel).inc()
        to = parcel.target(message, sms=self._sms.configured)
        if reason := parcel.obsolete(message):
            await self._finish(db, message, to, Status.SUPPRESSED, reason)
            return None
        if pause := parcel.postponed_seconds(message):
            await self._again(db, message, pause, "the show was moved", counted=False)
            return None
        if reason := parcel.undeliverable(message):
            await self._finish(db, message, to, Status.FAILED, reason)
            return None
        if message.cut_off is not None and to.channel is Channel.SMS:
            await self._finish(db, message, to, Status.FAILED, "cut off while sending: it may have gone out")
            return None
        try:
            if to.channel is Channel.SMS:
                return Parcel(message, to, parcel.sms_text(message, to, self._settings.sender_name))
            return await self._write(message, to)
        except Withdrawn as error:
            await self._finish(db, message, to, Status.SUPPRESSED, str(error))
        except Refused as error:
            await self._finish(db, message, to, Status.FAILED, str(error))
        except TryLater as error:
            await self._later(db, message, to, str(error))
        except Exception as error:
            # A fault of ours, such as a word missing in a template: mended, the message still goes out.
            log.exception("message cannot be written", message_id=str(message.message_id), template=message.template)
            await self._later(db, message, to, f"cannot be written: {error!r}"[:300])
        return None

    async def _write(self, message: Claimed, to: Target) -> Parcel:
        sender, platform = self._settings.sender, self._settings.sender_name
        words = parcel.letter(parcel.linked(message, self._settings), to, platform)
        files = []
        for url in message.documents:
            async with self._fetching:
                files.append(File(words.filename or "document.pdf", await self._documents.fetch(url)))
        sealed = replace(parcel.envelope(message, to, sender, platform), files=tuple(files))
        try:
            return Parcel(message, to, compose(sealed, words), len(files))
        except ValueError as error:
            raise Refused(f"no such address: {error}") from error

    async def _hand_over(self, db: Database, ready: Parcel, lease: Lease) -> bool:
        """Calls the provider and records its answer. False if the provider cannot be reached.

        When the process is asked to stop meanwhile, what was begun is brought to its end.
        """
        work = asyncio.create_task(self._deliver(db, ready, lease))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work}, timeout=LAST_WORDS_SECONDS)
            work.cancel()
            raise

    async def _deliver(self, db: Database, ready: Parcel, lease: Lease) -> bool:
        message, to = ready.message, ready.to
        if not lease.holds(message.attempt_id):
            # It waited long for its turn. Unless somebody has taken it over, it is ours again.
            await lease.renew(db)
        if not lease.holds(message.attempt_id):
            await self._again(db, message, 0, "the lease ended before its turn", counted=False)
            return True
        started = time.perf_counter()
        with tracing.span(f"send {message.template}", message.traceparent, SpanKind.CLIENT):
            try:
                answer = await self._call(ready)
            except Unreachable as error:
                self._pause(error)
                return False
            except TryLater as error:
                await self._later(db, message, to, str(error))
            except (Refused, Unknown) as error:
                await self._finish(db, message, to, Status.FAILED, str(error))
                if message.recipient and to.channel is Channel.EMAIL and names_no_address(str(error)):
                    async with db.as_worker() as session:
                        await suppress(session, message.organisation, message.recipient, str(error))
            else:
                self._outages = 0
                seconds = time.perf_counter() - started
                await self._finish(db, message, to, Status.SENT, answer, seconds, ready.attachments)
        return True

    async def _call(self, ready: Parcel) -> str:
        try:
            if isinstance(ready.content, str):
                return await self._sms.send(ready.message.message_id, ready.to.address, ready.content)
            return await self._mailer.send(ready.content, self._settings.return_path, ready.to.address)
        except DeliveryError:
            raise
        except Exception as error:
            log.exception("provider failed", message_id=str(ready.message.message_id))
            raise TryLater(f"{error!r}"[:300]) from error

    async def _finish(
        self,
        db: Database,
        message: Claimed,
        to: Target,
        status: Status,
        detail: str,
        seconds: float | None = None,
        attachments: int = 0,
    ) -> None:
        end = claims.End(status, to.channel, to.address, detail, seconds, attachments)

        async def record() -> None:
            # One statement that commits by itself: the less time passes after the provider's answer, the better.
            async with db.worker.connect() as connection:
                immediate = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await claims.finish(immediate, message, end)

        await _until_recorded(record)
        db.nudge()
        # What the server said is kept with the attempt: servers like to repeat whom they refuse.
        log.info(
            f"message {status}",
            message_id=str(message.message_id),
            order_id=str(message.order_id),
            template=message.template,
            channel=str(to.channel),
            attempts=message.attempts,
        )

    async def _later(self, db: Database, message: Claimed, to: Target, detail: str) -> None:
        if message.now > message.give_up_at:
            await self._finish(db, message, to, Status.FAILED, f"given up: {detail}")
            return
        metrics.RETRIES.labels(to.channel).inc()
        await self._again(db, message, backoff(message.attempts, *RETRY_SECONDS), detail, counted=True)
        log.info("message waits", message_id=str(message.message_id), template=message.template)

    async def _again(self, db: Database, message: Claimed, pause: float, detail: str, *, counted: bool) -> None:
        async def record() -> None:
            async with db.as_worker() as session:
                await claims.again(session, message, pause, detail, counted=counted)

        await _until_recorded(record)

    async def _release(self, db: Database, waiting: Sequence[Claimed]) -> None:
        for message in waiting:
            try:
                async with asyncio.timeout(2), db.as_worker() as session:
                    await claims.again(session, message, 0, "given back unsent", counted=False)
            except Exception as error:
                log.warning("message not given back, its lease will end", error=repr(error))
                return

    def _pause(self, error: Unreachable) -> None:
        self._outages += 1
        pause = backoff(self._outages, *OUTAGE_SECONDS)
        self._closed_until = time.monotonic() + pause
        log.warning("provider away", error=str(error), pause_seconds=round(pause, 1))


def backoff(attempt: int, first: float, longest: float) -> float:
    """Seconds before the next attempt: twice as long each time, and never the same for two senders."""
    return min(first * 2.0 ** min(attempt - 1, 20), longest) * random.uniform(0.5, 1.0)  # noqa: S311


async def _until_recorded(record: Callable[[], Awaitable[None]]) -> None:
    """Commits `record`, as long as it takes: forgetting that a mail went out would send it twice."""
    pause = 0.1
    while True:
        try:
            await record()
            return
        except Exception as error:
            if not is_passing(error):
                raise
            log.warning("outcome not yet recorded", error=repr(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)
