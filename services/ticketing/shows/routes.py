"""HTTP: shows, their price zones, start and stop of sale, and the seats of a whole hall (TKT-7..17, TKT-25)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chassis.concurrency import IfMatch, etag, set_etag
from chassis.edge import Caller, Tx, WorkerTx, caller_of, public
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.pages import cut, moment, read_cursor
from chassis.patches import changes
from chassis.problems import Invalid, Unauthorised, Unavailable, raises
from contracts.ticketing import ShowStatus
from services.ticketing.errors import ConfirmFirst, DateIsPast, NoSuchHall, NoSuchShow, PriceZonesRefused, ShowClosed
from services.ticketing.halls.tables import Hall
from services.ticketing.holds.yours import Holders
from services.ticketing.roles import EDITORS, READERS
from services.ticketing.schemas import FIRST_YEAR, LAST_YEAR, Moment
from services.ticketing.shows import commands, queries
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.schemas import (
    AssignIn,
    ReopenIn,
    ShowIn,
    ShowList,
    ShowOut,
    ShowPatch,
    ShowStarted,
    ShowSummary,
    ZoneIn,
    ZonesIn,
)
from services.ticketing.shows.seatmap import SeatMaps

PRICES = takes(4 * 1024 * 1024, values=210_000)
"""Prices may be set seat by seat, in halls of 100,000."""

router = APIRouter(tags=["shows"])


async def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


TheBoard = Annotated[Board, Depends(_board)]
Editor = Annotated[Caller, Depends(EDITORS)]
Visitor = Annotated[Caller, Depends(public())]


def _answer(layout: Layout, response: Response) -> ShowOut:
    set_etag(response, layout.version)
    return ShowOut.of(layout)


async def _seat_maps(request: Request, show_id: UUID, tx: Tx) -> None:
    """After a change this process forgets what it knew of the show, before the answer is sent."""
    maps: SeatMaps = request.app.state.seat_maps
    sqlalchemy_event.listen(tx.sync_session, "after_commit", lambda _: maps.forget(show_id), once=True)


ForgetsShow = Depends(_seat_maps)


@router.post("/shows", status_code=201, response_model=ShowOut)
@PRICES
@raises(NoSuchHall, DateIsPast, PriceZonesRefused)
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
            named=_ids(body.price_zones),
        )
        return ShowOut.of(layout)

    return await once.run(tx, 201, command, headers={"ETag": etag(1)})


@router.patch("/shows/{show_id}", dependencies=[ForgetsShow])
@raises(ShowClosed, DateIsPast, ConfirmFirst)
async def change_show(
    show_id: UUID, body: ShowPatch, version: IfMatch, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Changes a show's name, date or settings. A new date that people must be told of has to be confirmed."""
    named = changes(body, "hold_seconds", "payment_seconds")
    confirmed = named.pop("confirm", False)
    layout = await commands.change_show(
        tx, board, caller.staff_organisation, show_id, version, named, confirmed=confirmed
    )
    return _answer(layout, response)


@router.put("/shows/{show_id}/price-zones", dependencies=[ForgetsShow])
@PRICES
@raises(ShowClosed, PriceZonesRefused)
async def set_price_zones(
    show_id: UUID, body: ZonesIn, seen: IfMatch, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Replaces the price zones (TKT-9). Holds that exist keep their prices."""
    zones, named = [zone.spec() for zone in body.price_zones], _ids(body.price_zones)
    layout = await commands.set_price_zones(tx, board, caller.staff_organisation, show_id, zones, seen, named=named)
    return _answer(layout, response)


@router.post("/shows/{show_id}/price-zones/assign", dependencies=[ForgetsShow])
@PRICES
@raises(ShowClosed, PriceZonesRefused)
async def assign_price(
    show_id: UUID, body: AssignIn, seen: IfMatch, tx: Tx, board: TheBoard, caller: Editor, response: Response
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
@raises(ShowClosed, DateIsPast, PriceZonesRefused)
async def start_sale(show_id: UUID, tx: Tx, board: TheBoard, caller: Editor, response: Response) -> ShowStarted:
    """Makes the tickets available (TKT-14), and names seats whose tickets would say the same place."""
    layout = await commands.start_sale(tx, board, caller.staff_organisation, show_id)
    set_etag(response, layout.version)
    return ShowStarted.of(layout)


@router.post("/shows/{show_id}/stop-sale", dependencies=[ForgetsShow])
@raises(ShowClosed)
async def stop_sale(show_id: UUID, tx: Tx, board: TheBoard, caller: Editor, response: Response) -> ShowOut:
    """Makes the purchase of tickets unavailable from this moment (TKT-25)."""
    return _answer(await commands.stop_sale(tx, board, caller.staff_organisation, show_id), response)


@router.post("/shows/{show_id}/reopen", dependencies=[ForgetsShow])
@raises(ShowClosed, DateIsPast)
async def reopen_show(
    show_id: UUID, body: ReopenIn, seen: IfMatch, tx: Tx, board: TheBoard, caller: Editor, response: Response
) -> ShowOut:
    """Takes back that a show is finished. Its sale is stopped until it is started."""
    layout = await commands.reopen_show(tx, board, caller.staff_organisation, show_id, seen, body.starts_at)
    return _answer(layout, response)


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
        after=read_cursor(after, moment) if after else None,
        limit=limit + 1,
    )
    rows, more = cut((await tx.execute(query)).all(), limit, lambda row: (row[0].starts_at, row[0].id))
    return ShowList(items=[ShowSummary.of(show, hall_name, seats) for show, hall_name, seats in rows], next=more)


@router.get("/shows/{show_id}")
async def read_show(show_id: UUID, tx: WorkerTx, board: TheBoard, caller: Visitor, response: Response) -> ShowOut:
    """A show and its price zones."""
    return _answer(await queries.visible(tx, board, show_id, _own(caller)), response)


@router.get(
    "/shows/{show_id}/plan",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}, 304: {"description": "Nothing changed"}},
)
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
    layout = await queries.visible(tx, board, show_id, caller.staff_organisation)
    if layout.organisation != caller.staff_organisation:
        raise NoSuchShow(f"There is no show {show_id}.")
    start, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(LAST_YEAR, 12, 31, tzinfo=UTC)
    return await queries.statistics(tx, layout, since or start, until or end)


@raises(NoSuchShow, Invalid, Unauthorised, Unavailable)
async def read_seats(request: Request) -> Response:
    """The state of every seat of the hall, from memory, and which of them the caller holds."""
    caller = await caller_of(request.scope)
    try:
        show_id = UUID(request.path_params["show_id"])
    except ValueError:
        raise Invalid("The show id is not a UUID.") from None
    maps: SeatMaps = request.app.state.seat_maps
    layout, view = await maps.view(show_id)
    queries.must_be_visible(layout, _own(caller))
    body = view.compact if request.query_params.get("format") == "compact" else view.full
    tag, cache = view.etag, "no-cache"
    holders: Holders = request.app.state.holders
    holds = await holders.holds_of(caller, request.headers.get("hold-token"), show_id)
    if holds is not None:
        yours = orjson.dumps(maps.held_by(show_id, holds))
        body = body[:-1] + b',"yours":' + yours + b"}"
        tag, cache = f'"{hashlib.blake2b(tag.encode() + yours, digest_size=12).hexdigest()}"', "private, no-cache"
    headers = {"ETag": tag, "Cache-Control": cache}
    if _matches(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _ids(zones: Sequence[ZoneIn]) -> list[UUID]:
    return [key for zone in zones for key in zone.ids]


def _own(caller: Caller) -> UUID | None:
    return caller.organisation if caller.is_staff else None


def _matches(request: Request, tag: str) -> bool:
    return tag in (part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(","))


SEATS_ROUTE = Route("/shows/{show_id}/seats", read_seats, methods=["GET"])
SEATS_ROUTE.permission = public()  # type: ignore[attr-defined]
