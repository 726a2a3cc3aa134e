"""Checkout: from held seats, or an offer of the catalogue, to an order that awaits payment (ORD-29, ORD-38..40)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.edge import Caller
from chassis.problems import Invalid
from chassis.texts import ONE_LINE
from contracts.orders import FunnelStage, LineKind, PaymentMethod
from services.orders.buying.contacts import Contact, Person, contact, reachable, region_of
from services.orders.buying.quotes import Quote
from services.orders.buying.sale import still_sold
from services.orders.catalogue.tables import Offer
from services.orders.errors import HoldOver, IdTaken, InvoiceNotOffered, NotPossibleNow
from services.orders.order import Cause, changed, create_order, happen, load
from services.orders.order.lines import hold_lines, offer_line, replace_lines
from services.orders.order.tables import Order
from services.orders.process import happenings as h
from services.orders.settings import Settings

REPEATED_WITHIN = timedelta(hours=1)
Locale = Literal["en", "uk", "pl", "ru"]


class SeatHolder(Person):
    """Who will hold the ticket of one seat (ORD-4)."""

    seat: Annotated[str, Field(max_length=200), ONE_LINE]


class Buying(BaseModel):
    """What a buyer enters, whatever is bought."""

    model_config = ConfigDict(extra="forbid")

    customer: Person
    payment_method: Literal["card", "invoice"] = "card"
    locale: Locale = "en"
    return_url: Annotated[str, Field(max_length=500), ONE_LINE] | None = None
    """Where the card page sends the buyer back; only our own pages."""


class Checkout(Buying):
    quote: str = Field(max_length=100_000)
    """The signed quote that the hold was answered with."""
    participants: list[SeatHolder] = Field(default_factory=list, max_length=1000)
    """Seats without one are for the customer."""
    dates_seen: dict[UUID, AwareDatetime] = Field(default_factory=dict, max_length=100)
    """Dates that the buyer agrees to, by show: needed where a show was moved since its seats were held."""


async def check_out(session: AsyncSession, quote: Quote, body: Checkout, caller: Caller, settings: Settings) -> Order:
    """Place the order of a hold; repeated while it awaits payment, it takes the newer contact data.

    Raises `InvoiceNotOffered`, `HoldOver`, `BadContact`, `ShowNotOnSale`, `ShowMoved`, or `NotPossibleNow` for an order
    that is paid or cancelled.
    """
    if body.payment_method == "invoice" and not quote.invoice_allowed:
        raise InvoiceNotOffered("Pay by card: the organiser does not offer invoices for these tickets.")
    region = await region_of(session, quote.organisation, settings.phone_region)
    customer = reachable(contact(body.customer, region, "the customer"), "the customer")
    holders = _holders(quote, body, region)
    order = await load(session, quote.hold_id) or await create_order(
        session, quote.hold_id, quote.organisation, currency=quote.currency
    )
    if order.hold_released and order.stage in (None, FunnelStage.INTERESTED):
        raise HoldOver("The seats are free again. Choose them once more.")
    fresh = order.stage is None or order.stage == FunnelStage.INTERESTED
    if not fresh and order.stage != FunnelStage.AWAITING_PAYMENT:
        raise NotPossibleNow("The order is already paid or cancelled.", stage=order.stage)
    if fresh:
        quote = await still_sold(session, quote, body.dates_seen)
    another_method = order.payment_method != body.payment_method
    _fill(order, body, customer, caller, settings)
    cause = Cause(caller.email or customer.email or "buyer", "buyer")
    if not fresh:
        _name_participants(order, holders, customer)
        if another_method:
            # However often the method is changed, the seats are not kept longer than for an invoice.
            latest = (order.placed_at or order.created_at) + timedelta(days=settings.invoice_days)
            pay_by = min(_pay_by(body, settings, quote.payment_seconds), latest)
            await happen(session, order, h.MethodChanged(pay_by=pay_by), cause)
        await changed(session, order, "checked_out_again", cause, payment_method=body.payment_method)
        return order
    order.show_id, order.title, order.starts_at = quote.show_id, quote.show_name, quote.starts_at
    lines = replace_lines(order, hold_lines(order, quote.hold_id, quote.show_id, quote.seats, quote.places))
    _name_participants(order, holders, customer)
    await happen(
        session, order, h.CheckedOut(lines=lines, pay_by=_pay_by(body, settings, quote.payment_seconds)), cause
    )
    return order


class OfferCheckout(Buying):
    order_id: UUID
    """Made by the client (UUIDv7): a repeated request is the same order."""
    quantity: int = Field(default=1, ge=1, le=1000)


async def buy_offer(
    session: AsyncSession, offer: Offer, body: OfferCheckout, caller: Caller, settings: Settings
) -> Order:
    """Order a course or goods (ORD-40). The price is the catalogue's."""
    if body.payment_method == "invoice" and not offer.invoice_allowed:
        raise InvoiceNotOffered("Pay by card: invoices are not offered for this.")
    if offer.kind == LineKind.COURSE and body.quantity != 1:
        raise Invalid("A course is bought once per student.")
    region = await region_of(session, offer.organisation, settings.phone_region)
    customer = reachable(contact(body.customer, region, "the customer"), "the customer")
    order = await create_order(session, body.order_id, offer.organisation, currency=offer.currency)
    if order.stage is not None:
        if order.offer_id != offer.id or not _same_buyer(order, customer, caller):
            raise IdTaken("Another order has this id. Make a new one, or open the order by its link.")
        return order
    _fill(order, body, customer, caller, settings)
    order.offer_id, order.title = offer.id, offer.name
    lines = replace_lines(order, [offer_line(order, offer, body.quantity)])
    checkout = h.CheckedOut(lines=lines, pay_by=_pay_by(body, settings))
    await happen(session, order, checkout, Cause(customer.email or "buyer", "buyer"))
    return order


def _same_buyer(order: Order, customer: Contact, caller: Caller) -> bool:
    """Whether a repeated request is from who made the order: it is answered with the order's key.

    Who is signed in proves it. Without an account, the same contact data do for as long as a request is repeated.
    """
    if order.account_id is not None:
        return order.account_id == caller.account_id
    same = (order.customer_name, order.customer_email, order.customer_phone) == (
        customer.name,
        customer.email,
        customer.phone,
    )
    return same and datetime.now(UTC) - order.created_at < REPEATED_WITHIN


def _fill(order: Order, body: Buying, customer: Contact, caller: Caller, settings: Settings) -> None:
    order.customer_name, order.customer_email = customer.name, customer.email
    order.customer_phone = customer.phone
    if not caller.serves(order.organisation):
        # Signed out in another tab, the buyer is still who held the seats.
        order.account_id = caller.account_id or order.account_id
    order.payment_method = PaymentMethod(body.payment_method).value
    order.locale = body.locale
    order.return_url = safe_return_url(body.return_url, settings)


def _holders(quote: Quote, body: Checkout, region: str) -> dict[str, Contact]:
    seats = {seat.seat for seat in quote.seats}
    holders: dict[str, Contact] = {}
    for person in body.participants:
        if person.seat not in seats:
            raise Invalid(f"Seat {person.seat} is not part of the order.", seat=person.seat)
        if person.seat in holders:
            raise Invalid(f"Seat {person.seat} has two participants.", seat=person.seat)
        holders[person.seat] = contact(person, region, person.name)
    return holders


def _name_participants(order: Order, holders: dict[str, Contact], customer: Contact) -> None:
    """A participant whom no message can reach gets the ticket by way of the customer."""
    for line in order.lines:
        holder = holders.get(line.reference, customer)
        line.participant_name = holder.name
        own = holder.email or holder.phone
        line.participant_email = holder.email if own else customer.email
        line.participant_phone = holder.phone if own else customer.phone


def _pay_by(body: Buying, settings: Settings, seconds: int | None = None) -> datetime:
    wait = (
        timedelta(days=settings.invoice_days)
        if body.payment_method == "invoice"
        else timedelta(seconds=seconds or settings.payment_seconds)
    )
    return datetime.now(UTC) + wait


def safe_return_url(url: str | None, settings: Settings) -> str | None:
    """The address if it is one of our own pages: a card page must not become a way to send people anywhere."""
    if url is None:
        return None
    parts = urlsplit(url)
    allowed = {settings.public_url.rstrip("/"), *settings.return_origins.split()}
    if f"{parts.scheme}://{parts.netloc}" not in {_origin(address) for address in allowed}:
        raise Invalid("return_url must be a page of this site.")
    return url


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
