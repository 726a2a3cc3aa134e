"""HTTP: shows, their price zones, start and stop of sale, and the seats of a whole hall (TKT-7..17, TKT-25)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from pydantic import Field
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uuid_utils.compat import uuid7

from chassis.concurrency import IfMatch, etag, set_etag
from chassis.edge import Caller, Tx, WorkerTx, caller_of, public, staff
from chassis.idempotency import Once
from chassis.problems import Invalid
from contracts.accounts import Role
from contracts.money import Currency
from contracts.ticketing import ShowStatus
from services.ticketing.errors import NoSuchShow
from services.ticketing.halls.tables import Hall
from services.ticketing.schemas import (
    FIRST_YEAR,
    LAST_YEAR,
    PROBLEMS,
    Body,
    Moment,
    Name,
    Price,
    Seat,
    cursor,
    read_cursor,
)
from services.ticketing.shows import commands, queries
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout, ZoneSpec
from services.ticketing.shows.seatmap import SeatMaps
from services.ticketing.shows.tables import Show

EDITORS = staff(Role.ORGANIZER, Role.TICKET_ORGANIZER)
READERS = staff(
    Role.ORGANIZER, Role.TICKET_ORGANIZER, Role.TICKET_DESK, Role.SALES_HEAD, Role.SALES_MANAGER, Role.PROJECT_HEAD
)
MAX_ZONES = 500

router = APIRouter(tags=["shows"], responses=PROBLEMS)


class ZoneIn(Body):
    name: Name
    price: Price
    categories: Annotated[list[Name], Field(max_length=1000, default_factory=list)]
    """Categories of the hall's plan that are sold at this price."""
    seats: Annotated[list[Seat], Field(max_length=100_000, default_factory=list)]
    """Single seats that are, whatever their category's price."""

    def spec(self) -> ZoneSpec:
        return ZoneSpec(uuid7(), self.name, self.price.money(), tuple(self.categories), tuple(self.seats))


Zones = Annotated[list[ZoneIn], Field(max_length=MAX_ZONES)]


Period = Annotated[int, Field(ge=1, le=30 * 86400)]


class ShowIn(Body):
    hall_id: UUID
    name: Name
    starts_at: Moment
    currency: Currency
    invoice_allowed: bool = False
    """Whether "Order an invoice" is offered (ORD-39)."""
    hold_seconds: Period | None = None
    """How long a buyer has the seats before ordering (SET-5); the platform's own period if there is none."""
    payment_seconds: Period | None = None
    """How long a card order may wait for its money; the platform's own period if there is none."""
    price_zones: Zones = Field(default_factory=list)


class ShowPatch(Body):
    name: Name | None = None
    starts_at: Moment | None = None
    invoice_allowed: bool | None = None
    hold_seconds: Period | None = None
    payment_seconds: Period | None = None


class ZonesIn(Body):
    price_zones: Zones


class AssignIn(Body):
    seats: Annotated[list[Seat], Field(min_length=1, max_length=100_000)]
    price: Price
    name: Name | None = None
    """Of the zone; a new zone is named by its price if there is none."""


class ZoneOut(Body):
    zone_id: UUID
    name: str
    price: Price
    seat_count: int
    categories: list[str]
    seats: list[str]


class ShowOut(Body):
    show_id: UUID
    organisation: UUID
    name: str
    starts_at: datetime
    hall_id: UUID
    hall_name: str
    status: ShowStatus
    currency: str
    invoice_allowed: bool
    hold_seconds: int | None
    payment_seconds: int | None
    capacity: int
    version: int
    price_zones: list[ZoneOut]

    @classmethod
    def of(cls, layout: Layout) -> ShowOut:
        counts = {zone.zone_id: zone.seats for zone in layout.zones}
        return cls(
            show_id=layout.show_id,
            organisation=layout.organisation,
            name=layout.name,
            starts_at=layout.starts_at,
            hall_id=layout.hall_id,
            hall_name=layout.hall_name,
            status=layout.status,
            currency=layout.currency,
            invoice_allowed=layout.invoice_allowed,
            hold_seconds=layout.hold_seconds,
            payment_seconds=layout.payment_seconds,
            capacity=len(layout.places),
            version=layout.version,
            price_zones=[
                ZoneOut(
                    zone_id=zone.zone_id,
                    name=zone.name,
                    price=Price(minor=zone.price.minor, currency=zone.price.currency),
                    seat_count=counts[zone.zone_id],
                    categories=list(zone.categories),
                    seats=list(zone.seats),
                )
                for zone in layout.specs
            ],
        )


class ShowSummary(Body):
    show_id: UUID
    organisation: UUID
    name: str
    starts_at: datetime
    hall_id: UUID
    hall_name: str
    status: ShowStatus
    currency: str
    invoice_allowed: bool
    capacity: int
    version: int


class ShowList(Body):
    items: list[ShowSummary]
    next: str | None


def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


def _seen(
    if_match: Annotated[str | None, Header(description="The ETag you saw; checked if sent")] = None,
) -> int | None:
    if if_match is None:
        return None
    number = if_match.strip().removeprefix("W/").strip('"').removeprefix("v")
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise Invalid('If-Match must be an ETag of this service, such as "v7".')
    return int(number)


TheBoard = Annotated[Board, Depends(_board)]
Editor = Annotated[Caller, Depends(EDITORS)]
Visitor = Annotated[Caller, Depends(public())]
Seen = Annotated[int | None, Depends(_seen)]


def _answer(layout: Layout, response: Response) -> ShowOut:
    set_etag(response, layout.version)
    return ShowOut.of(layout)


def _seat_maps(request: Request, show_id: UUID, tx: Tx) -> None:
    """After a change this process forgets what it knew of the show, before the answer is sent."""
    maps: SeatMaps = request.app.state.seat_maps
    sqlalchemy_event.listen(tx.sync_session, "after_commit", lambda _: maps.forget(show_id), once=True)


ForgetsShow = Depends(_seat_maps)


@router.post("/shows", status_code=201, response_model=ShowOut)
async def create_show(body: ShowIn, tx: Tx, once: Once, board: TheBoard, caller: Editor) -> Response:
    """Creates a show as a draft (TKT-7, TKT-8)."""

    async def command() -> ShowOut:
        layout = await commands.create_show(
            tx,
            board,
            caller.staff_organisation,
            hall_id=body.hall_id,
            name=body.name,
            starts_at=body.starts_at,
            currency=body.currency,
            invoice_allowed=body.invoice_allowed,
            hold_seconds=body.hold_seconds,
            payment_seconds=body.payment_seconds,
            zones=[zone.spec() for zone in body.price_zones],
        )
        return ShowOut.of(layout)

    return await once.run(tx, 201, command, headers={"ETag": etag(1)})


@router.patch("/shows/{show_id}", dependencies=[ForgetsShow])
async def change_show(
    show_id: UUID, body: ShowPatch, version: IfMatch, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Changes a show's name, date or settings."""
    layout = await commands.change_show(
        tx, board, caller.staff_organisation, show_id, version, **body.model_dump(exclude_none=True)
    )
    return _answer(layout, response)


@router.put("/shows/{show_id}/price-zones", dependencies=[ForgetsShow])
async def set_price_zones(
    show_id: UUID, body: ZonesIn, seen: Seen, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Replaces the price zones (TKT-9). Holds that exist keep their prices."""
    zones = [zone.spec() for zone in body.price_zones]
    layout = await commands.set_price_zones(tx, board, caller.staff_organisation, show_id, zones, seen)
    return _answer(layout, response)


@router.post("/shows/{show_id}/price-zones/assign", dependencies=[ForgetsShow])
async def assign_price(
    show_id: UUID, body: AssignIn, seen: Seen, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Gives selected seats a price: they join the zone of that price, or a new one (TKT-11)."""
    layout = await commands.assign_price(
        tx,
        board,
        caller.staff_organisation,
        show_id,
        seats=body.seats,
        price=body.price.money(),
        name=body.name,
        seen=seen,
    )
    return _answer(layout, response)


@router.post("/shows/{show_id}/start-sale", dependencies=[ForgetsShow])
async def start_sale(show_id: UUID, tx: Tx, board: TheBoard, caller: Editor, response: Response) -> ShowOut:
    """Makes the tickets available (TKT-14)."""
    return _answer(await commands.start_sale(tx, board, caller.staff_organisation, show_id), response)


@router.post("/shows/{show_id}/stop-sale", dependencies=[ForgetsShow])
async def stop_sale(show_id: UUID, tx: Tx, board: TheBoard, caller: Editor, response: Response) -> ShowOut:
    """Makes the purchase of tickets unavailable from this moment (TKT-25)."""
    return _answer(await commands.stop_sale(tx, board, caller.staff_organisation, show_id), response)


@router.get("/shows")
async def list_shows(
    tx: WorkerTx,
    caller: Visitor,
    since: Annotated[Moment | None, Query(alias="from", description="Beginning at or after")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Beginning before")] = None,
    organisation: UUID | None = None,
    status: ShowStatus | None = None,
    after: Annotated[str | None, Query(alias="cursor")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ShowList:
    """The repertoire, by date (TKT-16). Staff see the drafts of their organisation, others none."""
    own = caller.organisation if caller.is_staff and organisation in (None, caller.organisation) else None
    query = queries.repertoire(
        organisation=own or organisation,
        drafts=own is not None,
        since=since,
        until=until,
        status=status,
        after=read_cursor(after) if after else None,
        limit=limit + 1,
    )
    rows = (await tx.execute(query)).all()
    items = [_summary(show, hall_name, seats) for show, hall_name, seats in rows[:limit]]
    more = cursor(items[-1].starts_at, items[-1].show_id) if len(rows) > limit else None
    return ShowList(items=items, next=more)


@router.get("/shows/{show_id}")
async def read_show(show_id: UUID, tx: WorkerTx, board: TheBoard, caller: Visitor, response: Response) -> ShowOut:
    """A show and its price zones."""
    return _answer(await queries.visible(tx, board, show_id, _own(caller)), response)


@router.get("/shows/{show_id}/plan", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def read_plan(show_id: UUID, tx: WorkerTx, board: TheBoard, caller: Visitor, request: Request) -> Response:
    """The seating plan of the show's hall."""
    layout = await queries.visible(tx, board, show_id, _own(caller))
    headers = {"ETag": f'"{layout.hall_id}"', "Cache-Control": "public, max-age=300"}
    if _matches(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    document = await tx.scalar(select(Hall.plan).where(Hall.id == layout.hall_id))
    return Response(document, headers=headers, media_type="application/json")


@router.get("/shows/{show_id}/statistics")
async def read_statistics(
    show_id: UUID,
    tx: Tx,
    board: TheBoard,
    caller: Annotated[Caller, Depends(READERS)],
    since: Annotated[Moment | None, Query(alias="from")] = None,
    until: Annotated[Moment | None, Query(alias="to")] = None,
) -> dict[str, Any]:
    """Seats now, and bookings and tickets of the whole show or of a period (TKT-17)."""
    owner = await tx.scalar(select(Show.organisation).where(Show.id == show_id))
    if owner != caller.staff_organisation:
        raise NoSuchShow(f"There is no show {show_id}.")
    layout = await board.read(tx, show_id)
    start, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR, 12, 31, tzinfo=UTC)
    return await queries.statistics(tx, layout, since or start, until or end)


async def read_seats(request: Request) -> Response:
    """The state of every seat of the hall, from memory."""
    caller = await caller_of(request)
    try:
        show_id = UUID(request.path_params["show_id"])
    except ValueError:
        raise Invalid("The show id is not a UUID.") from None
    maps: SeatMaps = request.app.state.seat_maps
    layout, view = await maps.view(show_id)
    queries.must_be_visible(layout, _own(caller))
    headers = {"ETag": view.etag, "Cache-Control": "no-cache"}
    if _matches(request, view.etag):
        return Response(status_code=304, headers=headers)
    body = view.compact if request.query_params.get("format") == "compact" else view.full
    return Response(body, headers=headers, media_type="application/json")


def _own(caller: Caller) -> UUID | None:
    return caller.organisation if caller.is_staff else None


def _matches(request: Request, tag: str) -> bool:
    return tag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(","))


def _summary(show: Show, hall_name: str, seats: int) -> ShowSummary:
    return ShowSummary(
        show_id=show.id,
        organisation=show.organisation,
        name=show.name,
        starts_at=show.starts_at,
        hall_id=show.hall_id,
        hall_name=hall_name,
        status=ShowStatus(show.status),
        currency=show.currency,
        invoice_allowed=show.invoice_allowed,
        capacity=seats,
        version=show.version,
    )


SEATS_ROUTE = Route("/shows/{show_id}/seats", read_seats, methods=["GET"])
SEATS_ROUTE.permission = public()  # type: ignore[attr-defined]
