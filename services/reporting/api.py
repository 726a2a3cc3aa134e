"""Reports for staff (RPT-1, RPT-6)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from chassis.edge import Caller, Tx, staff
from contracts.accounts import BACK_OFFICE
from contracts.money import Money
from services.reporting import totals
from services.reporting.errors import UnknownShow

Reader = Annotated[Caller, Depends(staff(*BACK_OFFICE))]
EARLIEST, LATEST = date(1970, 1, 1), date(2999, 12, 31)
First = Annotated[
    date | None, Query(alias="from", ge=EARLIEST, le=LATEST, description="First day, in the organisation's time zone")
]
Last = Annotated[date | None, Query(alias="to", ge=EARLIEST, le=LATEST, description="Last day, counted too")]

router = APIRouter(tags=["reports"])


class Stamp(BaseModel):
    as_of: datetime | None = Field(description="Time of the newest event that the figures contain")
    generated_at: datetime
    time_zone: str = Field(description="The organisation's: its days begin at midnight there")


class MoneySums(BaseModel):
    income: list[Money] = Field(description="Received less refunded, one amount for each currency")
    received: list[Money]
    refunded: list[Money]


class OrderCounts(BaseModel):
    orders: int = Field(description="Orders that were not removed, in any stage")
    new_unpaid: int = Field(description="Awaiting their payment")
    paid: int = Field(description="Whose money is held or received and has not gone back in full")


class TicketCounts(BaseModel):
    issued: int
    valid: int
    voided: int


class Totals(Stamp, MoneySums, OrderCounts):
    by_stage: dict[str, int]
    by_payment_status: dict[str, int]
    tickets: TicketCounts


class ShowSummary(BaseModel):
    show_id: UUID
    name: str
    starts_at: datetime
    status: str
    currency: str
    capacity: int = Field(description="Seats of the hall, priced or not")


class ShowTotals(Totals):
    show: ShowSummary


class ShowList(BaseModel):
    items: list[ShowSummary]
    next: str | None = None


class Day(MoneySums, OrderCounts):
    day: date


class Days(Stamp):
    items: list[Day]
    next: str | None = None


@router.get("/totals", response_model=Totals)
async def get_totals(caller: Reader, tx: Tx, first: First = None, last: Last = None) -> dict[str, Any]:
    """Income, number of orders, of new unpaid and of paid ones (RPT-1, ORD-14)."""
    scope = await totals.scope(tx, caller.staff_organisation, first=first, last=last)
    return await totals.count(tx, scope)


@router.get("/shows", response_model=ShowList)
async def list_shows(caller: Reader, tx: Tx) -> dict[str, Any]:
    """The shows that there are reports of, the latest first."""
    await totals.scope(tx, caller.staff_organisation)
    return {"items": await totals.shows(tx, caller.staff_organisation)}


@router.get("/shows/{show_id}/totals", response_model=ShowTotals)
async def get_show_totals(
    show_id: UUID, caller: Reader, tx: Tx, first: First = None, last: Last = None
) -> dict[str, Any]:
    """The totals of one show: bookings, paid orders, money and tickets (RPT-6)."""
    scope = await totals.scope(tx, caller.staff_organisation, show=show_id, first=first, last=last)
    found = await totals.shows(tx, caller.staff_organisation, show_id)
    if not found:
        raise UnknownShow("There is no such show, or it was created a moment ago.")
    return {**await totals.count(tx, scope), "show": found[0]}


@router.get("/days", response_model=Days)
async def get_days(
    caller: Reader, tx: Tx, first: First = None, last: Last = None, show_id: UUID | None = None
) -> dict[str, Any]:
    """Totals of each day on which something happened, oldest first."""
    scope = await totals.scope(tx, caller.staff_organisation, show=show_id, first=first, last=last)
    return await totals.days(tx, scope)


@router.get("/as-of", response_model=Stamp)
async def get_as_of(caller: Reader, tx: Tx) -> dict[str, Any]:
    """Up to when the reports know what happened."""
    return await totals.stamp(tx, await totals.scope(tx, caller.staff_organisation))
