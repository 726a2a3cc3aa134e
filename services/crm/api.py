"""Customers for staff (CUS-1..4, CUS-7, CUS-8, CUS-12)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from chassis.concurrency import IfMatch, set_etag
from chassis.edge import Caller, Tx, WorkerTx, staff
from chassis.problems import raises
from chassis.texts import NAMING, STORABLE
from contracts.accounts import BACK_OFFICE
from contracts.money import Money
from services.crm.customers import edits, merge, queries, split
from services.crm.errors import CannotSplit, MergedAway, NotMerged

Manager = Annotated[Caller, Depends(staff(*BACK_OFFICE))]

router = APIRouter(tags=["customers"])


def _a_birthday(value: date) -> date:
    if value > datetime.now(UTC).date():
        raise ValueError("must not be in the future")
    return value


Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), STORABLE]
Name = Annotated[Words, Field(min_length=1), NAMING]
Birthday = Annotated[date, Field(ge=date(1900, 1, 1)), AfterValidator(_a_birthday)]


class CustomerSummary(BaseModel):
    customer_id: UUID
    name: str
    emails: list[str]
    phones: list[str]
    blacklisted: bool
    orders: int
    last_order_at: datetime | None
    created_at: datetime


class CustomerList(BaseModel):
    items: list[CustomerSummary]
    next: str | None


class Typed(BaseModel):
    """Contact data as typed in an order."""

    name: str
    email: str | None
    phone: str | None


class Registered(BaseModel):
    """Contact data that the person entered on the platform."""

    name: str
    email: str
    phone: str | None


class Product(BaseModel):
    kind: str
    title: str
    quantity: int
    total: Money


class CustomerOrder(BaseModel):
    order_id: UUID
    number: str
    title: str
    stage: str
    payment_status: str
    payment_method: str | None
    total: Money
    paid: Money
    refunded: Money
    typed: Typed
    products: list[Product]
    created_at: datetime


class PossibleDuplicate(BaseModel):
    customer_id: UUID
    kind: str
    value: str
    order_id: UUID


class Merged(BaseModel):
    """A customer that was merged into another, with the data it had."""

    customer_id: UUID
    name: str
    date_of_birth: date | None
    locality: str | None
    address: str | None
    merged_into: UUID
    merged_by: str
    merged_at: datetime


class CustomerCard(BaseModel):
    customer_id: UUID
    version: int
    name: str
    emails: list[str]
    phones: list[str]
    date_of_birth: date | None
    locality: str | None
    address: str | None
    blacklisted: bool
    blacklist_reason: str | None
    blacklisted_by: str | None
    blacklisted_at: datetime | None
    account_id: UUID | None
    registered: Registered | None
    created_at: datetime
    orders: list[CustomerOrder] = Field(description="The newest 200")
    spent: list[Money] = Field(description="Received less refunded, one amount for each currency")
    possible_duplicates: list[PossibleDuplicate] = Field(
        description="Customers who share a contact with an order of this one; they may be the same person"
    )
    merged: list[Merged] = Field(description="Customers who were merged into this one, also by way of others")


class CustomerTotals(BaseModel):
    customers: int
    blacklisted: int
    registered: int = Field(description="With an account on the platform")
    with_orders: int
    orders: int


class CustomerEdit(BaseModel):
    """Only what is named is changed; null empties a field."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    date_of_birth: Birthday | None = None
    locality: Words | None = None
    address: Words | None = None


class Blacklisting(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Words | None = None


class Split(BaseModel):
    """Orders that are another person's."""

    model_config = ConfigDict(extra="forbid")

    order_ids: list[UUID] = Field(min_length=1, max_length=200)
    name: Words = Field("", description="Of the new customer; without it, as typed in the newest of these orders")


@router.get("/customers", response_model=CustomerList)
async def list_customers(
    caller: Manager,
    tx: Tx,
    search: Annotated[Words, Query(description="Order number, name, e-mail or phone, or a part of them")] = "",
    blacklisted: bool | None = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """Customers, exact matches first, then the newest (CUS-2, CUS-3)."""
    return await queries.find_customers(
        tx, caller.staff_organisation, search=search, blacklisted=blacklisted, cursor=cursor, limit=limit
    )


@router.get("/customers/totals", response_model=CustomerTotals)
async def get_totals(caller: Manager, tx: Tx) -> dict[str, int]:
    """How many customers there are."""
    return await queries.totals(tx, caller.staff_organisation)


@router.get("/customers/{customer_id}", response_model=CustomerCard)
async def get_customer(customer_id: UUID, caller: Manager, tx: Tx, response: Response) -> dict[str, Any]:
    """Everything known of a customer, with their earlier orders (CUS-7) and both kinds of contact data (CUS-12)."""
    return await _card(tx, caller, customer_id, response)


@router.patch("/customers/{customer_id}", response_model=CustomerCard)
@raises(MergedAway)
async def edit_customer(
    customer_id: UUID, caller: Manager, edit: CustomerEdit, seen: IfMatch, tx: Tx, response: Response
) -> dict[str, Any]:
    """Corrects full name, date of birth, locality, address (CUS-4)."""
    await edits.edit(tx, caller.staff_organisation, customer_id, seen, edit.model_dump(exclude_unset=True))
    return await _card(tx, caller, customer_id, response)


@router.put("/customers/{customer_id}/blacklist", response_model=CustomerCard)
@raises(MergedAway)
async def blacklist_customer(
    customer_id: UUID, caller: Manager, body: Blacklisting, seen: IfMatch, tx: Tx, response: Response
) -> dict[str, Any]:
    """Puts a customer on the black list (CUS-8)."""
    await edits.blacklist(tx, caller.staff_organisation, customer_id, seen, reason=body.reason or None, by=caller.actor)
    return await _card(tx, caller, customer_id, response)


@router.delete("/customers/{customer_id}/blacklist", response_model=CustomerCard)
@raises(MergedAway)
async def forgive_customer(
    customer_id: UUID, caller: Manager, seen: IfMatch, tx: Tx, response: Response
) -> dict[str, Any]:
    """Takes a customer off the black list."""
    await edits.forgive(tx, caller.staff_organisation, customer_id, seen)
    return await _card(tx, caller, customer_id, response)


@router.put("/customers/{customer_id}/merged/{other_id}", response_model=CustomerCard)
@raises(MergedAway)
async def merge_customers(
    customer_id: UUID, other_id: UUID, caller: Manager, seen: IfMatch, tx: Tx, response: Response
) -> dict[str, Any]:
    """Counts another customer as this one: they are one person. It can be taken back."""
    await merge.merge(tx, caller.staff_organisation, customer_id, seen, other_id, by=caller.actor)
    return await _card(tx, caller, customer_id, response)


@router.delete("/customers/{customer_id}/merged/{other_id}", response_model=CustomerCard)
@raises(NotMerged)
async def undo_merge(
    customer_id: UUID, other_id: UUID, caller: Manager, seen: IfMatch, tx: Tx, response: Response
) -> dict[str, Any]:
    """Lets a merged customer stand for itself again, with the orders and contacts that are its own."""
    await merge.unmerge(tx, caller.staff_organisation, customer_id, seen, other_id)
    return await _card(tx, caller, customer_id, response)


@router.post("/customers/{customer_id}/split", response_model=CustomerCard, status_code=201)
@raises(MergedAway, CannotSplit)
async def split_customer(
    customer_id: UUID, body: Split, caller: Manager, seen: IfMatch, tx: WorkerTx, response: Response
) -> dict[str, Any]:
    """Gives some orders to a new customer, whose card is the answer. Contacts that only they name go with them."""
    organisation = caller.staff_organisation
    new = await split.split_off(tx, organisation, customer_id, seen, set(body.order_ids), name=body.name)
    return await _card(tx, caller, new, response)


async def _card(tx: Tx, caller: Caller, customer_id: UUID, response: Response) -> dict[str, Any]:
    card = await queries.card(tx, caller.staff_organisation, customer_id)
    set_etag(response, card["version"])
    return card
