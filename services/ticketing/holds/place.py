"""Taking seats: from the request of a buyer to the signed quote (TKT-15)."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import TracebackType
from typing import Self
from uuid import UUID

import orjson

from chassis import tracing
from chassis.db import Database
from chassis.edge import Caller
from chassis.logging import get_logger
from contracts.accounts import Role
from contracts.ticketing import Channel
from services.ticketing import metrics
from services.ticketing.errors import (
    HoldEnded,
    NotTogether,
    NotYourHold,
    OtherHoldHasThisId,
    OutcomeUnknown,
    PlacesTaken,
    SeatsTaken,
    ShowNotOnSale,
    TooManyHeld,
)
from services.ticketing.holds.allowance import Limits, counted
from services.ticketing.holds.choosing import Choosing
from services.ticketing.holds.expiry import Expiry
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.quotes import Quotes
from services.ticketing.holds.requests import Answer, Granted, Refused, Request
from services.ticketing.holds.tokens import HoldTokens
from services.ticketing.holds.wanted import Wanted, must_be_offered, priced
from services.ticketing.holds.yours import Holders
from services.ticketing.settings import Settings
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.seatmap import SeatMaps

log = get_logger(__name__)

DESK = (Role.TICKET_DESK, Role.TICKET_ORGANIZER, Role.ORGANIZER)
STALE_RETRIES = 5
WATCH_SECONDS = 1.0


class BoxOffice:
    """Where seats are taken: the lanes of this process."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        board: Board,
        seat_maps: SeatMaps,
        quotes: Quotes,
        tokens: HoldTokens,
        holders: Holders,
    ) -> None:
        self._settings = settings
        self._board = board
        self._quotes = quotes
        self._production = settings.footlights_env == "production"
        self._tokens = tokens
        self._expiry = Expiry(db)
        self._seat_maps = seat_maps
        self._holders = holders
        self._lanes = [
            Lane(
                db.pin,
                batch=settings.hold_batch,
                queue=settings.hold_queue,
                limits=Limits.of(settings),
                nudge=lambda: db.nudge(),
                on_taken=seat_maps.taken,
                on_short=self._expiry.soon,
                choosing=Choosing(seat_maps, db),
            )
            for _ in range(settings.hold_lanes)
        ]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for lane in self._lanes:
            task = asyncio.create_task(_serve(lane), name="hold-lane")
            self._stack.push_async_callback(_stop, task)
        self._stack.push_async_callback(_stop, asyncio.create_task(self._watch(), name="hold-watch"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for lane in self._lanes:
                lane.fail_overdue()

    async def place(
        self, show_id: UUID, hold_id: UUID, wanted: Wanted, caller: Caller, token: str | None = None
    ) -> tuple[bool, bytes]:
        """Whether the hold is new, and what the buyer is told, in JSON. `token` is of a hold that they have already:
        who is refused is told which seats are theirs.

        Raises `NoSuchShow`, `SeatsTaken`, `PlacesTaken`, `NotTogether`, `NotYourHold`, `ShowNotOnSale`,
        `SeatsNotForSale`, `HoldInvalid`, `TooManySeats`, `TooManyHeld`, `OtherHoldHasThisId`, `HoldEnded`,
        `SaleBusy` and `OutcomeUnknown`.
        """
        layout = await self._board.get(show_id)
        for _ in range(STALE_RETRIES):
            answer = await self._ask(layout, hold_id, wanted, caller)
            if isinstance(answer, Granted):
                metrics.holds("repeated" if answer.repeated else "granted").inc()
                return not answer.repeated, self.describe(layout, hold_id, answer)
            metrics.holds(answer.why).inc()
            if (answer.why == "closed" and layout.status == "on_sale" and not _begun(layout)) or answer.why == "stale":
                # The show was changed since we looked; look again.
                known, layout = layout, await self._board.reload(show_id)
                if answer.why == "stale" or layout.version != known.version:
                    continue
            yours = await self._holders.among(caller, token, show_id, answer.seats) if answer.why == "taken" else []
            raise _problem(answer, layout, yours)
        raise OutcomeUnknown("The show is being changed at this moment. Try again.")

    def describe(self, layout: Layout, hold_id: UUID, granted: Granted) -> bytes:
        """The hold as its buyer sees it, with a fresh quote, in JSON."""
        text_id = str(hold_id)
        hold = {
            "hold_id": text_id,
            "show_id": layout.text_id,
            "expires_at": granted.expires_at,
            "seats": [seat.json for seat in granted.seats],
            "places": [each.json for each in granted.places],
            "channel": granted.channel,
            "total": {"minor": granted.total, "currency": layout.currency},
            "token": self._tokens.of(text_id),
            "quote": self._quotes.sign(layout, text_id, granted),
        }
        return orjson.dumps(hold, option=orjson.OPT_UTC_Z)

    async def _ask(self, layout: Layout, hold_id: UUID, wanted: Wanted, caller: Caller) -> Answer:
        desk = at_desk(caller, layout)
        if wanted.is_for_the_desk and not desk:
            raise NotYourHold("Only the ticket desk may name a channel, or write a name or a note.")
        most = self._settings.staff_hold_max_seats if desk else self._settings.hold_max_seats
        if wanted.best is not None:
            must_be_offered(layout, wanted.best, most)
            await self._seat_maps.ready(layout.show_id)
        seats, places = priced(layout, wanted.items, most)
        staff = caller.serves(layout.organisation)
        buyer, network = (None, None) if desk else counted(caller, production=self._production)
        request = Request(
            hold_id=hold_id,
            layout=layout,
            seats=seats,
            places=places,
            best=wanted.best,
            lifetime=_seconds(layout.hold_seconds or self._settings.hold_seconds),
            latest=None if desk else _seconds(self._settings.hold_limit_seconds),
            # What staff hold is for somebody whom only the order will name.
            account_id=None if staff else caller.account_id,
            traceparent=tracing.current_traceparent(),
            future=asyncio.get_running_loop().create_future(),
            deadline=time.perf_counter() + self._settings.hold_wait_seconds,
            buyer=buyer,
            network=network,
            desk=desk,
            staff=staff and not desk,
            channel=wanted.channel or (Channel.DESK if desk else Channel.SITE),
            name=wanted.name,
            note=wanted.note,
            clerk_id=caller.account_id if staff else None,
        )
        self._lanes[zlib.crc32(layout.show_id.bytes) % len(self._lanes)].join(request)
        try:
            return await request.future
        finally:
            metrics.HOLD_SECONDS.observe(time.perf_counter() - request.joined)


def at_desk(caller: Caller, layout: Layout) -> bool:
    """Whether the caller sells this show for the organisation."""
    return caller.serves(layout.organisation) and caller.has(*DESK)


@lru_cache
def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _labels(layout: Layout, seats: Sequence[str]) -> str:
    return "; ".join(layout.offers[seat].label for seat in seats[:10] if seat in layout.offers)


def _begun(layout: Layout) -> bool:
    """By our own clock: for words and for a look less. What is sold, the database's clock decides."""
    return layout.starts_at <= datetime.now(UTC)


def _problem(refused: Refused, layout: Layout, yours: Sequence[str] = ()) -> Exception:
    match refused.why:
        case "taken":
            others = [seat for seat in refused.seats if seat not in yours]
            said = f"Somebody else has {_labels(layout, others)}. Choose other seats." if others else ""
            if yours:
                said += f" You hold {_labels(layout, yours)} already."
            return SeatsTaken(said.strip(), seats=list(refused.seats), yours=list(yours))
        case "apart":
            return NotTogether(
                f"There are not so many seats together; {refused.most} are. Ask for fewer, or choose them apart.",
                most=refused.most,
            )
        case "short":
            areas = {area: layout.areas[area][0].name for area in refused.left or {} if area in layout.areas}
            said = "; ".join(f"{(refused.left or {})[area]} of {name}" for area, name in areas.items())
            return PlacesTaken(
                f"There are not so many places: {said} can be had.",
                areas=[{"area_id": str(area), "left": left} for area, left in (refused.left or {}).items()],
            )
        case "greedy":
            return TooManyHeld(
                f"At most {refused.most} seats can be held at once, here and by all of your network. Pay for those you "
                "hold, or let go of some.",
                limit=refused.most,
            )
        case "other":
            return OtherHoldHasThisId("This hold id belongs to another hold. Make a new id for a new hold.")
        case "ended":
            return HoldEnded("This hold has ended. Make a new one with a new id.")
        case _ if _begun(layout):
            return ShowNotOnSale("The show has begun; tickets are not sold any more.", show_status=str(layout.status))
        case _:
            return ShowNotOnSale("Tickets for this show are not on sale.", show_status=str(layout.status))


async def _serve(lane: Lane) -> None:
    while True:
        try:
            await lane.run()
        except Exception:
            log.critical("lane failed and is started again", exc_info=True)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
