"""The lane: requests for seats that come at the same time are taken by one statement and one commit.

A request joins with a deadline and awaits its answer. The flusher takes what has gathered as soon as the previous batch
has returned, so a lone request never waits and a crowd costs one commit. Nothing here keeps two buyers apart, the
database does; the lane only batches, and any number of them may run.

Inside a batch the first come is served: a later request for one of its seats waits for the next batch, and is refused
at once if the earlier one got it. While a show is being changed its requests step aside, so that no other show waits.
A batch that fails is run again or split in two; when the connection is lost the
outcome is unknown, and the same batch asked again finds the holds that were placed before anyone is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import orjson

from chassis.errors import READ_ONLY, is_passing
from chassis.logging import get_logger
from services.ticketing import metrics
from services.ticketing.errors import OutcomeUnknown, SaleBusy
from services.ticketing.holds import statement, terms
from services.ticketing.holds.allowance import UNLIMITED, Limits
from services.ticketing.holds.choosing import Choosing, Chosen
from services.ticketing.holds.parameters import parameters
from services.ticketing.holds.requests import Granted, Refused, Request

log = get_logger(__name__)

Connect = Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]

RACES = 5
"""How often a batch that lost a race is run again whole, before it is split."""
ATTEMPTS = 4
"""How often a hold alone is tried when the database refuses it for a reason that does not pass by itself."""
GONE = ("08", "57P", READ_ONLY)
"""SQLSTATE classes of a connection that is gone, or leads to what is no primary any more."""
ASIDE_SECONDS = 0.02
"""When requests that stepped aside queue again."""
STATEMENT_SECONDS = 8.0
ANSWER_SECONDS = 15.0
"""A request is answered long before this; it is here so that none waits for ever."""

BUSY = "Too many people are buying at once. Try again in a few seconds."
OVERDUE = "The answer takes too long. Ask again with the same hold id to learn whether you have the seats."
UNKNOWN = "The database did not answer. Ask again with the same hold id to learn whether you have the seats."


class Lane:
    """One queue, one flusher, one connection."""

    def __init__(
        self,
        connect: Connect,
        *,
        batch: int = 128,
        queue: int = 4096,
        limits: Limits = UNLIMITED,
        nudge: Callable[[], None] = lambda: None,
        on_taken: Callable[[Sequence[Request]], None] = lambda _: None,
        on_short: Callable[[], None] = lambda: None,
        choosing: Choosing | None = None,
    ) -> None:
        self._connect = connect
        self._batch = batch
        self._limit = queue
        self._limits = limits
        self._nudge = nudge
        self._on_taken = on_taken
        self._on_short = on_short
        self._choosing = choosing
        self._unsure: list[Request] = []
        """For what fits nowhere, as far as memory knows, the seats are being read."""
        self._looking: set[asyncio.Task[None]] = set()
        self._waiting: deque[Request] = deque()
        self._taking: list[Request] = []
        self._behind: list[Request] = []
        """What wants a seat or an id of the batch that is being taken."""
        self._aside: list[Request] = []
        """What waits for somebody who is changing its show."""
        self._again: deque[Request] = deque()
        """What did not fit behind others of its batch, and may fit alone."""
        self._wake = asyncio.Event()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._offset = 0.0
        """The database's clock minus ours, in seconds: times are reckoned on the database's clock."""

    def join(self, request: Request) -> None:
        """Queues a request; its future gets the answer. Raises `SaleBusy` when the queue is full."""
        if len(self._waiting) >= self._limit:
            raise SaleBusy("The queue for seats is full. Try again in a few seconds.", retry_after=2)
        self._waiting.append(request)
        self._wake.set()

    async def run(self) -> None:
        """Serves until it is cancelled; whoever waits then is told to try again."""
        try:
            while True:
                if not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                self._taking, self._behind = self._gather()
                if self._taking:
                    await self._settle(self._taking)
                if self._choosing is not None:
                    self._choosing.let_go((*self._taking, *self._behind))
                if self._behind:
                    self._put_back(self._taking, self._behind)
                self._waiting.extendleft(reversed(self._again))
                self._again.clear()
                self._taking, self._behind = [], []
        finally:
            for looking in self._looking:
                looking.cancel()
            for request in (*self._aside, *self._unsure, *self._again, *self._waiting):
                request.fail(OutcomeUnknown("The service is stopping. Ask again with the same hold id."))
            self._aside = []
            self._waiting.clear()
            await self._disconnect()

    def fail_overdue(self) -> None:
        """Fails what nobody has answered for too long, whatever the flusher waits for. To be called now and then."""
        latest = time.perf_counter() - ANSWER_SECONDS
        for request in (*self._taking, *self._behind, *self._aside, *self._unsure, *self._waiting):
            if request.joined < latest:
                request.fail(OutcomeUnknown(OVERDUE))

    def _gather(self) -> tuple[list[Request], list[Request]]:
        """The next batch, and those behind it that want a seat or an id of the batch."""
        batch: list[Request] = []
        later: list[Request] = []
        seats: set[tuple[str, str]] = set()
        ids: set[str] = set()
        now = time.perf_counter()
        while self._waiting and len(batch) < self._batch:
            request = self._waiting.popleft()
            if request.future.done():
                continue
            if now > request.deadline:
                request.fail(SaleBusy(BUSY, retry_after=2))
                continue
            show = request.layout.text_id
            if request.best is not None and request.text_id not in ids and not self._chosen(request, seats, later):
                continue
            wanted = {(show, seat) for seat in request.keys}
            if request.text_id in ids or not seats.isdisjoint(wanted):
                later.append(request)
                # First come, first served: whoever comes later for these seats waits behind this one.
                seats |= wanted
                continue
            seats |= wanted
            ids.add(request.text_id)
            batch.append(request)
        metrics.HOLD_WAITING.set(len(self._waiting))
        return batch, later

    def _chosen(self, request: Request, wanted: set[tuple[str, str]], later: list[Request]) -> bool:
        """Whether the best seats for a request were found; if not, it is answered, or comes later."""
        if self._choosing is None:
            raise RuntimeError("this lane chooses no seats")
        match self._choosing.choose(request, wanted):
            case Chosen.YES:
                return True
            case Chosen.LATER:
                later.append(request)
            case Chosen.STALE:
                request.answer(Refused("stale"))
            case Chosen.UNSURE if request.looked:
                request.answer(Refused("apart", most=self._choosing.most(request)))
            case Chosen.UNSURE:
                self._unsure.append(request)
                if not self._looking:
                    self._look()
        return False

    def _look(self) -> None:
        """Reads the seats of a show for those who wait for that; who comes meanwhile waits for the next reading."""
        show_id = self._unsure[0].layout.show_id
        asked = [request for request in self._unsure if request.layout.show_id == show_id]
        self._unsure = [request for request in self._unsure if request.layout.show_id != show_id]
        task = asyncio.create_task(self._look_for(show_id, asked), name="look-at-seats")
        self._looking.add(task)

    async def _look_for(self, show_id: UUID, asked: Sequence[Request]) -> None:
        try:
            if self._choosing is not None:
                await self._choosing.look(show_id, asked)
            self._waiting.extendleft(reversed(asked))
        except Exception as error:
            for request in asked:
                request.fail(error)
        finally:
            self._looking.clear()
            if self._unsure:
                self._look()
            self._wake.set()

    def _put_back(self, batch: Sequence[Request], later: Sequence[Request]) -> None:
        """Refuses those whose seats were just taken, without asking the database again; the others stay first."""
        taken: dict[tuple[UUID, str], UUID] = {}
        for request in batch:
            if request.granted:
                taken.update(dict.fromkeys(((request.layout.show_id, seat) for seat in request.keys), request.hold_id))
        for request in reversed(later):
            if request.best is not None:
                request.take(())
            winners = {seat: taken.get((request.layout.show_id, seat)) for seat in request.keys}
            lost = tuple(seat for seat, winner in winners.items() if winner not in (None, request.hold_id))
            if lost:
                request.answer(Refused("taken", lost))
            else:
                self._waiting.appendleft(request)

    async def _settle(self, requests: list[Request], races: int = 0, attempt: int = 1) -> None:
        """Answers every request of a batch, or fails it."""
        try:
            await self._take(requests)
        except Exception as error:
            if getattr(error, "sqlstate", None) == statement.LOST_RACE and races < RACES:
                metrics.HOLD_RETRIES.labels("race").inc()
                await self._settle(requests, races + 1, attempt)
                return
            await self._recover(requests, error, attempt)

    async def _recover(self, requests: list[Request], error: Exception, attempt: int) -> None:
        """Runs what is not answered again: whole after a lost connection, in halves after an error."""
        lost_connection = not isinstance(error, asyncpg.PostgresError) or (error.sqlstate or "").startswith(GONE)
        metrics.HOLD_RETRIES.labels("connection" if lost_connection else "error").inc()
        log.warning(
            "batch of holds failed",
            holds=len(requests),
            attempt=attempt,
            error=repr(error),
            exc_info=not _expected(error),
        )
        if lost_connection:
            # Nobody knows whether it was committed. Asked again, it finds what was.
            for request in requests:
                request.unheard = True
            await self._disconnect()
        if attempt >= ATTEMPTS and not is_passing(error):
            for request in requests:
                request.fail(SaleBusy(BUSY) if _expected(error) else error)
        for request in requests:
            if time.perf_counter() > request.deadline:
                request.fail(OutcomeUnknown(UNKNOWN))
        waiting = [request for request in requests if not request.future.done()]
        if not waiting:
            return
        if lost_connection or len(waiting) == 1:
            await asyncio.sleep(min(0.02 * 2**attempt, 1.0))
            await self._settle(waiting, 0, attempt + 1)
        else:
            middle = len(waiting) // 2
            await self._settle(waiting[:middle], 0, attempt)
            await self._settle(waiting[middle:], 0, attempt)

    async def _take(self, requests: list[Request]) -> None:
        connection = self._connection or await self._open()
        metrics.HOLD_BATCH.observe(len(requests))
        now = datetime.fromtimestamp(time.time() + self._offset, UTC)
        async with asyncio.timeout(STATEMENT_SECONDS):
            verdicts = await connection.fetch(statement.TAKE_SEATS, *parameters(requests, now, self._limits))
        granted = []
        repeated = []
        aside = []
        short = []
        for request, verdict in zip(requests, verdicts, strict=True):
            match verdict["verdict"]:
                case "granted":
                    granted.append(request)
                    request.answer(
                        Granted(now + request.lifetime, request.seats, places=request.places, channel=request.channel)
                    )
                case "known":
                    repeated.append(request)
                case "changing":
                    aside.append(request)
                case "taken" if request.best is not None and self._choosing is not None:
                    self._choosing.lost(request, tuple(verdict["lost"]))
                    self._again.append(request)
                case "short":
                    short.append((request, dict(zip(verdict["areas"], verdict["rests"], strict=True))))
                case why:
                    request.answer(Refused(why, tuple(verdict["lost"] or ()), most=verdict["most"] or 0))
        self._keep_time(verdicts[0]["now"])
        if granted:
            self._nudge()
            self._on_taken(granted)
        if aside:
            self._step_aside(aside)
        if short:
            self._tell_short(short, granted)
        if repeated:
            await self._look_up(connection, repeated)

    def _tell_short(self, short: Sequence[tuple[Request, dict[UUID, int]]], granted: Sequence[Request]) -> None:
        """Refuses those for whom too few places are left; who fits after all, because somebody before was refused, is
        asked for again."""
        given = Counter[UUID]()
        for request in granted:
            for each in request.places:
                given[each.area] += each.quantity
        for request, rests in reversed(short):
            wanted = Counter[UUID]()
            for each in request.places:
                wanted[each.area] += each.quantity
            left = {area: rest - given[area] for area, rest in rests.items()}
            lacking = {area: max(rest, 0) for area, rest in left.items() if wanted[area] > rest}
            if lacking:
                request.answer(Refused("short", left=lacking))
            else:
                self._again.appendleft(request)
        self._on_short()

    def _step_aside(self, requests: Sequence[Request]) -> None:
        if not self._aside:
            asyncio.get_running_loop().call_later(ASIDE_SECONDS, self._come_back)
        self._aside += requests

    def _come_back(self) -> None:
        metrics.HOLD_RETRIES.labels("show changing").inc(len(self._aside))
        self._waiting.extendleft(reversed(self._aside))
        self._aside = []
        self._wake.set()

    async def _look_up(self, connection: asyncpg.Connection[asyncpg.Record], requests: Sequence[Request]) -> None:
        """Answers requests for holds that exist already: the same hold again, unless it is another's or has ended."""
        found = await connection.fetch(statement.FIND_HOLDS, [request.hold_id for request in requests])
        holds = {row["id"]: row for row in found}
        for request in requests:
            row = holds[request.hold_id]
            same = row["show_id"] == request.layout.show_id and row["asked"] == request.asked
            if not same or not request.may_repeat(row["account_id"], row["network"]):
                request.answer(Refused("other"))
            elif row["status"] != "active" or row["expired"]:
                request.answer(Refused("ended"))
            else:
                request.answer(
                    Granted(
                        row["expires_at"],
                        terms.from_dicts(orjson.loads(row["terms"])),
                        repeated=True,
                        places=terms.places_from(orjson.loads(row["places"])),
                        channel=row["channel"],
                    )
                )

    async def _open(self) -> asyncpg.Connection[asyncpg.Record]:
        connection = await self._connect()
        now = await connection.fetchrow(statement.SESSION)
        self._connection = connection
        if now is not None:
            self._keep_time(now["clock_timestamp"])
        return connection

    def _keep_time(self, now: datetime) -> None:
        self._offset = now.timestamp() - time.time()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)


def _expected(error: Exception) -> bool:
    return is_passing(error) or getattr(error, "sqlstate", None) == statement.LOST_RACE
