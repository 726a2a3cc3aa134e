"""HTTP: halls and their plans (TKT-6)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from chassis.db import Database
from chassis.edge import Caller, Tx, staff
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.problems import raises
from services.ticketing.errors import NoSuchHall, SeatingPlanRefused
from services.ticketing.halls.imports import HallImport
from services.ticketing.halls.reading import check_import, read_categories
from services.ticketing.halls.tables import Hall
from services.ticketing.halls.workshop import Workshop
from services.ticketing.people import profile_of
from services.ticketing.roles import EDITORS
from services.ticketing.schemas import Body, PrintedTwice

router = APIRouter(tags=["halls"])


async def _db(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


async def _workshop(request: Request) -> Workshop:
    workshop: Workshop = request.app.state.workshop
    return workshop


Db = Annotated[Database, Depends(_db)]
TheWorkshop = Annotated[Workshop, Depends(_workshop)]


class CategoryOut(Body):
    name: str
    color: str | None
    seats: int


class HallOut(Body):
    hall_id: UUID
    name: str
    seats: int
    categories: list[CategoryOut]
    created_at: datetime | None = None


class HallImported(HallOut):
    printed_twice: list[PrintedTwice]
    """What is no mistake of the format, but surely one of the hall: the first of them."""
    more_printed_twice: int
    """How many there are besides."""


class HallSummary(Body):
    hall_id: UUID
    name: str
    seats: int
    created_at: datetime


class HallList(Body):
    items: list[HallSummary]
    next: str | None = None


IMPORT_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": HallImport.model_json_schema()}}}
}


@router.post("/halls", status_code=201, response_model=HallImported, openapi_extra=IMPORT_BODY)
@takes("max_plan_bytes", values=None)
@raises(SeatingPlanRefused)
async def import_hall(
    request: Request, db: Db, workshop: TheWorkshop, once: Once, caller: Annotated[Caller, Depends(EDITORS)]
) -> Response:
    """Imports a seating plan. A plan that cannot be used is refused with a list of what is wrong in it; seats that
    would print the same place on their tickets are named."""
    # Read and checked before there is a transaction, which others would wait for.
    name, checked = await check_import(workshop, await request.body())

    async with db.for_organisation(caller.staff_organisation, caller.account_id) as session:

        async def command() -> HallImported:
            hall = Hall(
                id=uuid7(),
                organisation=caller.staff_organisation,
                name=name,
                plan=checked.document.decode(),
                seats=checked.seats,
            )
            session.add(hall)
            await session.flush()
            categories = [CategoryOut(name=c.name, color=c.color, seats=c.seats) for c in checked.categories]
            locale = (await profile_of(session, caller.staff_organisation)).locale
            return HallImported(
                hall_id=hall.id,
                name=name,
                seats=hall.seats,
                categories=categories,
                printed_twice=[
                    PrintedTwice(place=same[0].label(locale), seats=[place.seat for place in same])
                    for same in checked.twice
                ],
                more_printed_twice=checked.more_twice,
            )

        return await once.run(session, 201, command)


@router.get("/halls")
async def list_halls(tx: Tx, caller: Annotated[Caller, Depends(staff())]) -> HallList:
    """The organisation's halls by name."""
    rows = await tx.execute(
        select(Hall.id, Hall.name, Hall.seats, Hall.created_at)
        .where(Hall.organisation == caller.staff_organisation)
        .order_by(Hall.name, Hall.id)
    )
    return HallList(
        items=[HallSummary(hall_id=r.id, name=r.name, seats=r.seats, created_at=r.created_at) for r in rows]
    )


@router.get("/halls/{hall_id}")
async def read_hall(
    hall_id: UUID, tx: Tx, workshop: TheWorkshop, caller: Annotated[Caller, Depends(staff())]
) -> HallOut:
    """A hall and how many seats each category has."""
    hall = await _hall(tx, caller, hall_id)
    categories = [CategoryOut(**category) for category in await read_categories(workshop, hall.plan)]
    return HallOut(hall_id=hall.id, name=hall.name, seats=hall.seats, categories=categories, created_at=hall.created_at)


@router.get("/halls/{hall_id}/plan", response_class=Response, responses={200: {"content": {"application/json": {}}}})
async def export_plan(hall_id: UUID, tx: Tx, caller: Annotated[Caller, Depends(staff())]) -> Response:
    """The plan, as it was imported."""
    hall = await _hall(tx, caller, hall_id)
    return Response(hall.plan, media_type="application/json")


async def _hall(tx: Tx, caller: Caller, hall_id: UUID) -> Hall:
    hall = await tx.scalar(select(Hall).where(Hall.id == hall_id, Hall.organisation == caller.staff_organisation))
    if hall is None:
        raise NoSuchHall(f"There is no hall {hall_id}.")
    return hall
