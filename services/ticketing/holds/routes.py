"""HTTP: extending and releasing seats (TKT-20, TKT-21), and the ticket desk's list (TKT-18)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from pydantic import Field, model_validator
from sqlalchemy import select, tuple_
from starlette.requests import Request
from starlette.responses import Response

from chassis.edge import Caller, Tx, WorkerTx, public, staff
from chassis.pages import cut, moment, read_cursor
from chassis.problems import Unauthorised, raises
from chassis.texts import STORABLE
from contracts.accounts import Role
from contracts.ticketing import FULL_FARE, Channel, PlacesOf
from services.ticketing.errors import HoldAtItsLimit, HoldEnded, HoldOrdered, NoSuchHold, NotYourHold
from services.ticketing.holds import commands, terms
from services.ticketing.holds.place import DESK, BoxOffice
from services.ticketing.holds.requests import Granted
from services.ticketing.holds.tables import Hold, HoldStatus
from services.ticketing.holds.tokens import HoldTokens
from services.ticketing.holds.wanted import BestIn
from services.ticketing.schemas import Body, Moment, Price, Seat
from services.ticketing.settings import Settings
from services.ticketing.shows.board import Board
from services.ticketing.tickets.tables import OrderRecord

router = APIRouter(tags=["holds"])


class ItemIn(Body):
    item: str
    """`seat_guid` of the plan, or the id of an area."""
    fare: str | None = None
    """The usual one of its price zone if there is none."""
    quantity: Annotated[int, Field(ge=1)] = 1
    """Of places."""


class HoldIn(Body):
    """Documents the hot route, which reads its body itself."""

    hold_id: UUID
    """Made by the client (UUIDv7), so that the same request sent twice is one hold."""
    seats: Annotated[list[str] | None, Field(min_length=1)] = None
    """`seat_guid` of the plan, each at the usual fare of its zone. Or:"""
    items: Annotated[list[ItemIn] | None, Field(min_length=1)] = None
    """Seats and places at the fares that are chosen. Or:"""
    best: BestIn | None = None
    channel: Channel | None = None
    """Where it is sold, if not where it is asked for. Only the ticket desk may name it."""
    name: str | None = None
    """Who the ticket desk keeps it for."""
    note: str | None = None
    """What the ticket desk wants to remember."""


class HeldPlacesOut(Body):
    area: UUID
    label: str
    zone_id: UUID
    zone_name: str
    fare: str
    fare_name: str | None
    quantity: int
    price: Price
    """Of one."""


class HeldSeatOut(Body):
    seat: str
    label: str
    zone_id: UUID
    zone_name: str
    price: Price
    fare: str = FULL_FARE
    fare_name: str | None = None


class HoldOut(Body):
    hold_id: UUID
    show_id: UUID
    expires_at: datetime
    seats: list[HeldSeatOut]
    places: list[HeldPlacesOut]
    channel: str
    total: Price
    token: str
    """Small; the header `Hold-Token` wants it for looking, extending and releasing."""
    quote: str
    """Signed, and as large as what is held; checkout takes it in its body."""


class PlacesIn(Body):
    area: UUID
    fare: Annotated[str, Field(max_length=100), STORABLE] = FULL_FARE
    quantity: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class ReleaseIn(Body):
    """What is let go; what the hold has not is left out."""

    seats: Annotated[list[Seat], Field(max_length=2_000, default_factory=list)]
    places: Annotated[list[PlacesIn], Field(max_length=200, default_factory=list)]


class HoldRow(Body):
    hold_id: UUID
    show_id: UUID
    status: HoldStatus
    extended: bool
    placed_at: datetime
    expires_at: datetime
    seats: list[HeldSeatOut]
    places: list[HeldPlacesOut]
    total: Price
    channel: str
    name: str | None
    """Who the ticket desk keeps it for."""
    note: str | None
    """Of the ticket desk, for itself."""
    clerk_id: UUID | None
    """The account of the member of staff who placed it."""
    account_id: UUID | None
    order: str | None
    """What ticketing knows of its order: open, issued, refused or closed."""


class HoldList(Body):
    items: list[HoldRow]
    next: str | None


class Extension(Body):
    """Only the ticket desk may choose. However long, a hold ends when its show begins."""

    minutes: Annotated[int | None, Field(ge=1, le=60 * 24 * 60)] = None
    """From now. Or:"""
    until: Moment | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Extension:
        if (self.minutes is None) == (self.until is None):
            raise ValueError("say `minutes` or `until`")
        return self


async def _holder(request: Request, hold_id: UUID, caller: Caller, token: str | None) -> UUID | None:
    """The organisation of staff, or None for the buyer. Raises unless the caller may touch the hold."""
    if token is not None:
        tokens: HoldTokens = request.app.state.hold_tokens
        if not tokens.opens(token, hold_id):
            raise NotYourHold("The Hold-Token is not this hold's.")
        return None
    if caller.has(*DESK):
        return caller.staff_organisation
    if caller.is_staff:
        raise NotYourHold("This needs the ticket desk, or the hold's own token as Hold-Token.")
    raise Unauthorised("Send the hold's token as Hold-Token.")


HoldToken = Annotated[str | None, Header(description="The token of the hold")]
Anybody = Annotated[Caller, Depends(public())]
Desk = Annotated[Caller, Depends(staff(*DESK, Role.SALES_MANAGER, Role.SALES_HEAD, Role.PROJECT_HEAD))]


@router.post("/holds/{hold_id}/extend", response_model=HoldOut)
@raises(HoldEnded, HoldAtItsLimit, NotYourHold)
async def extend_hold(
    hold_id: UUID,
    request: Request,
    tx: WorkerTx,
    caller: Anybody,
    extension: Extension | None = None,
    hold_token: HoldToken = None,
) -> Response:
    """Lets a hold live longer (TKT-20), and signs a new quote."""
    organisation = await _holder(request, hold_id, caller, hold_token)
    settings: Settings = request.app.state.settings
    lifetime = until = None
    if extension is not None:
        if organisation is None:
            raise NotYourHold("Only the ticket desk may choose for how long.")
        lifetime = timedelta(minutes=extension.minutes) if extension.minutes else None
        until = extension.until
    usual = timedelta(seconds=settings.hold_seconds)
    buffer = timedelta(seconds=settings.payment_buffer_seconds)
    hold = await commands.extend_hold(
        tx, hold_id, organisation, lifetime=lifetime, usual=usual, until=until, buffer=buffer
    )
    return Response(await _describe(request, tx, hold), media_type="application/json")


@router.delete("/holds/{hold_id}", status_code=204)
@raises(HoldEnded, HoldOrdered, NotYourHold)
async def release_hold(
    hold_id: UUID, request: Request, tx: WorkerTx, caller: Anybody, hold_token: HoldToken = None
) -> Response:
    """Lets go of the seats (TKT-21)."""
    organisation = await _holder(request, hold_id, caller, hold_token)
    await commands.release_hold(tx, hold_id, organisation)
    return Response(status_code=204)


@router.post("/holds/{hold_id}/release", response_model=HoldOut)
@raises(HoldEnded, HoldOrdered, NotYourHold)
async def release_some(
    hold_id: UUID, body: ReleaseIn, request: Request, tx: WorkerTx, caller: Anybody, hold_token: HoldToken = None
) -> Response:
    """Lets go of some seats and places, and signs a new quote for the rest (TKT-21). When nothing is left the hold is
    over: 204."""
    organisation = await _holder(request, hold_id, caller, hold_token)
    places = [PlacesOf(area=each.area, fare=each.fare, quantity=each.quantity) for each in body.places]
    hold = await commands.release_some(tx, hold_id, organisation, body.seats, places)
    if hold.status != HoldStatus.ACTIVE:
        return Response(status_code=204)
    return Response(await _describe(request, tx, hold), media_type="application/json")


@router.get("/holds/{hold_id}")
@raises(NotYourHold)
async def read_hold(
    hold_id: UUID, request: Request, tx: WorkerTx, caller: Anybody, hold_token: HoldToken = None
) -> HoldRow:
    """One hold, for its buyer or the ticket desk (TKT-19)."""
    organisation = await _holder(request, hold_id, caller, hold_token)
    hold = await tx.get(Hold, hold_id)
    if hold is None or organisation not in (None, hold.organisation):
        raise NoSuchHold(f"There is no hold {hold_id}.")
    order = await tx.get(OrderRecord, hold_id)
    return _row(hold, order.stage if order else None, desk=organisation is not None)


@router.get("/shows/{show_id}/holds")
async def list_holds(
    show_id: UUID,
    tx: Tx,
    caller: Desk,
    status: HoldStatus | None = None,
    after: Annotated[str | None, Query(alias="cursor")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> HoldList:
    """Bookings of a show, newest first (TKT-18)."""
    query = (
        select(Hold, OrderRecord.stage)
        .outerjoin(OrderRecord, OrderRecord.id == Hold.id)
        .where(Hold.show_id == show_id, Hold.organisation == caller.staff_organisation)
        .order_by(Hold.placed_at.desc(), Hold.id.desc())
        .limit(limit + 1)
    )
    if status is not None:
        query = query.where(Hold.status == status)
    if after is not None:
        query = query.where(tuple_(Hold.placed_at, Hold.id) < read_cursor(after, moment))
    rows, more = cut((await tx.execute(query)).all(), limit, lambda row: (row[0].placed_at, row[0].id))
    return HoldList(items=[_row(hold, stage, desk=True) for hold, stage in rows], next=more)


async def _describe(request: Request, tx: WorkerTx, hold: Hold) -> bytes:
    board: Board = request.app.state.board
    box_office: BoxOffice = request.app.state.box_office
    layout = board.peek(hold.show_id) or await board.read(tx, hold.show_id)
    granted = Granted(
        hold.expires_at,
        terms.from_dicts(hold.terms),
        places=terms.places_from(hold.places),
        channel=hold.channel,
    )
    return box_office.describe(layout, hold.id, granted)


def _row(hold: Hold, stage: str | None, *, desk: bool) -> HoldRow:
    seats, places = terms.from_dicts(hold.terms), terms.places_from(hold.places)
    prices = [seat.price for seat in seats] or [each.price for each in places]
    return HoldRow(
        hold_id=hold.id,
        show_id=hold.show_id,
        status=HoldStatus(hold.status),
        extended=hold.extended,
        placed_at=hold.placed_at,
        expires_at=hold.expires_at,
        seats=[HeldSeatOut.model_validate(seat) for seat in hold.terms],
        places=[HeldPlacesOut.model_validate(each) for each in hold.places],
        total=Price(minor=terms.total(seats, places), currency=prices[0].currency),
        channel=hold.channel,
        name=hold.name if desk else None,
        note=hold.note if desk else None,
        clerk_id=hold.clerk_id if desk else None,
        account_id=hold.account_id,
        order=stage,
    )
