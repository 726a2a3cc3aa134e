"""HTTP: halls and their plans (TKT-6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils.compat import uuid7

from chassis.edge import Caller, Tx, staff
from chassis.idempotency import Once
from chassis.intake import takes
from chassis.problems import raises
from services.ticketing.errors import NoSuchHall, SeatingPlanRefused
from services.ticketing.halls import plan
from services.ticketing.halls.places import places
from services.ticketing.halls.tables import Hall
from services.ticketing.roles import EDITORS
from services.ticketing.schemas import Body, Name

router = APIRouter(tags=["halls"])


class HallImport(Body):
    name: Name | None = None
    """The plan's own name if there is none."""
    plan: Annotated[dict[str, Any], Field(description="A seating plan in pretix's JSON format")]

    @classmethod
    def read(cls, raw: bytes) -> HallImport:
        """Raises the errors that FastAPI would for a body it reads itself."""
        try:
            return cls.model_validate(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            raise RequestValidationError([{"loc": ("body", error.pos), "msg": f"JSON decode error: {error}"}]) from None
        except ValidationError as error:
            raise RequestValidationError(
                [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors(include_input=False)]
            ) from None


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


IMPORT_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": HallImport.model_json_schema()}}}
}


@router.post("/halls", status_code=201, response_model=HallOut, openapi_extra=IMPORT_BODY)
@takes("max_plan_bytes", values=None)
@raises(SeatingPlanRefused)
async def import_hall(request: Request, tx: Tx, once: Once, caller: Annotated[Caller, Depends(EDITORS)]) -> Response:
    """Imports a seating plan. A plan that cannot be used is refused with a list of what is wrong in it."""
    raw = await request.body()

    async def command() -> HallOut:
        # A stadium takes some 200 ms to read and check. Meanwhile people are buying, so not on the event loop.
        name, checked = await asyncio.to_thread(_checked, raw)
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


def _checked(raw: bytes) -> tuple[str, plan.CheckedPlan]:
    body = HallImport.read(raw)
    checked = plan.check(body.plan)
    return body.name or checked.name.strip() or "Hall", checked


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
    categories = await asyncio.to_thread(_categories, hall.plan)
    return HallOut(hall_id=hall.id, name=hall.name, seats=hall.seats, categories=categories, created_at=hall.created_at)


def _categories(document: str) -> list[CategoryOut]:
    counts = Counter(place.category for place in places(document))
    return [
        CategoryOut(name=category["name"], color=category.get("color"), seats=counts[category["name"]])
        for category in plan.categories_of(document)
    ]


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
