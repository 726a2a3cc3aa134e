"""HTTP: halls and their plans (TKT-6)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy import select
from starlette.responses import Response
from uuid_utils.compat import uuid7

from chassis.edge import Caller, Tx, staff
from chassis.idempotency import Once
from contracts.accounts import Role
from services.ticketing.errors import NoSuchHall
from services.ticketing.halls import plan
from services.ticketing.halls.places import places
from services.ticketing.halls.tables import Hall
from services.ticketing.schemas import PROBLEMS, Body, Name

EDITORS = staff(Role.ORGANIZER, Role.TICKET_ORGANIZER)

router = APIRouter(tags=["halls"], responses=PROBLEMS)


class HallImport(Body):
    name: Name | None = None
    """The plan's own name if there is none."""
    plan: Annotated[dict[str, Any], Field(description="A seating plan in pretix's JSON format")]


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


class HallSummary(Body):
    hall_id: UUID
    name: str
    seats: int
    created_at: datetime


class HallList(Body):
    items: list[HallSummary]
    next: str | None = None


@router.post("/halls", status_code=201, response_model=HallOut)
async def import_hall(body: HallImport, tx: Tx, once: Once, caller: Annotated[Caller, Depends(EDITORS)]) -> Response:
    """Imports a seating plan. A plan that cannot be used is refused with a list of what is wrong in it."""

    async def command() -> HallOut:
        checked = plan.check(body.plan)
        name = body.name or checked.name.strip() or "Hall"
        hall = Hall(
            id=uuid7(),
            organisation=caller.staff_organisation,
            name=name,
            plan=checked.document.decode(),
            seats=checked.seats,
        )
        tx.add(hall)
        await tx.flush()
        categories = [CategoryOut(name=c.name, color=c.color, seats=c.seats) for c in checked.categories]
        return HallOut(hall_id=hall.id, name=name, seats=hall.seats, categories=categories)

    return await once.run(tx, 201, command)


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
async def read_hall(hall_id: UUID, tx: Tx, caller: Annotated[Caller, Depends(staff())]) -> HallOut:
    """A hall and how many seats each category has."""
    hall = await _hall(tx, caller, hall_id)
    counts: dict[str, int] = {}
    for place in places(hall.plan):
        counts[place.category] = counts.get(place.category, 0) + 1
    categories = [
        CategoryOut(name=category["name"], color=category.get("color"), seats=counts.get(category["name"], 0))
        for category in plan.categories_of(hall.plan)
    ]
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
