"""Checkout: from held seats, or an offer of the catalogue, to an order that awaits payment (ORD-29, ORD-38..40)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.edge import Caller
from chassis.problems import Invalid
from chassis.texts import ONE_LINE
from contracts.envelope import EVENT_BYTES
from contracts.orders import FunnelStage, PaymentMethod
from services.orders.buying.basket import Basket, Bought, Item
from services.orders.buying.contacts import Contact, Person, contact, reachable, region_of
from services.orders.buying.sale import still_sold
from services.orders.errors import IdTaken, NotPossibleNow
from services.orders.order import Cause, changed, create_order, happen
from services.orders.order.lines import MOST_LINES, replace_lines
from services.orders.order.merge import free_hold, take_over
from services.orders.order.tables import Order
from services.orders.order.told import changed_event
from services.orders.process import happenings as h
from services.orders.settings import Settings

Place = tuple[UUID, str]
"""A hold, and the name of a seat in it."""
LONGEST_QUOTE = 1_500_000
"""Of 2,000 seats."""
TAKEN = "Another order has this id. Make a new one, or open the order by its link."
MANY_LINES = 1000
ROOM_OF_A_LINE = 80
"""Bytes that a line may grow by, when some of it is given and taken back."""
REPEATED_WITHIN = timedelta(hours=1)
Locale = Literal["en", "uk", "pl", "ru"]


class SeatHolder(Person):
    """Who will hold the ticket of one seat (ORD-4)."""

    seat: Annotated[str, Field(max_length=200), ONE_LINE]
    hold_id: UUID | None = None
    """Needed where seats of two shows have the same name."""


class Buying(BaseModel):
    """What a buyer enters, whatever is bought."""

    model_config = ConfigDict(extra="forbid")

    customer: Person
    payment_method: Literal["card", "invoice"] = "card"
    locale: Locale = "en"
    return_url: Annotated[str, Field(max_length=500), ONE_LINE] | None = None
    """Where the card page sends the buyer back; only our own pages."""


class Checkout(Buying):
    """One order of one hold, or of whatever is sent of `quotes` and `items`."""

    quote: str | None = Field(default=None, max_length=LONGEST_QUOTE)
    """The signed quote that the hold with the order's id was answered with."""
    quotes: list[Annotated[str, Field(max_length=LONGEST_QUOTE)]] = Field(default_factory=list, max_length=20)
    """Quotes of several holds. The order has the id of one of them, or one that the client makes (UUIDv7)."""
    items: list[Item] = Field(default_factory=list, max_length=50)
    """Courses and goods."""
    participants: list[SeatHolder] = Field(default_factory=list, max_length=MOST_LINES)
    """Seats without one are for the customer."""
    dates_seen: dict[UUID, AwareDatetime] = Field(default_factory=dict, max_length=100)
    """Dates that the buyer agrees to, by show: needed where a show was moved since its seats were held."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.quote and self.quotes:
            raise ValueError("send either quote or quotes")
        return self


class OfferCheckout(Buying, Bought):
    order_id: UUID
    """Made by the client (UUIDv7): a repeated request is the same order."""


async def check_out(
    session: AsyncSession, order_id: UUID, basket: Basket, body: Buying, caller: Caller, settings: Settings
) -> Order:
    """Place an order; repeated while it awaits payment, it takes the newer contact data and method of payment.

    Raises `InvoiceNotOffered`, `HoldOver`, `BadContact`, `ShowNotOnSale`, `ShowMoved`, `OfferNotOnSale`,
    `PriceChanged`, `IdTaken`, or `NotPossibleNow` for an order that is paid or cancelled, or has other contents.
    """
    if body.payment_method == "invoice":
        basket.allows_invoice()
    region = await region_of(session, basket.organisation, settings.phone_region)
    customer = reachable(contact(body.customer, region, "the customer"), "the customer")
    participants = body.participants if isinstance(body, Checkout) else []
    holders = _holders(basket, participants, region)
    order = await _order_of(session, order_id, basket)
    if order.stage not in (None, FunnelStage.INTERESTED):
        return await _again(session, order, basket, holders, customer, body, caller, settings)
    basket.is_as_seen()
    seen = body.dates_seen if isinstance(body, Checkout) else {}
    basket = replace(basket, quotes=tuple([await still_sold(session, quote, seen) for quote in basket.quotes]))
    for hold_id in sorted(basket.holds - {order.id}):
        hold = await free_hold(session, hold_id, basket.organisation, basket.currency)
        await take_over(session, order, hold)
    _fill(order, body, customer, caller, settings)
    order.title = basket.title
    if basket.quotes:
        order.show_id, order.starts_at = basket.quotes[0].show_id, basket.quotes[0].starts_at
    else:
        order.offer_id = basket.offers[0][0].id
    lines = replace_lines(order, basket.lines(order, region))
    _name_participants(order, holders, customer)
    cause = Cause(caller.email or customer.email or "buyer", "buyer")
    await happen(session, order, h.CheckedOut(lines=lines, pay_by=_pay_by(body, settings, basket)), cause)
    _fits(order)
    return order


def _fits(order: Order) -> None:
    """Raises `Invalid` for an order that no event could tell of: thousands of seats, each with a long name."""
    if len(order.lines) < MANY_LINES:
        return
    size = len(changed_event(order).to_json()) + len(order.lines) * ROOM_OF_A_LINE
    if size > EVENT_BYTES:
        raise Invalid("The order is too large with the names of so many people. Order it in two parts.")


async def _order_of(session: AsyncSession, order_id: UUID, basket: Basket) -> Order:
    """The order with this id, new or placed before. Raises `HoldOver`, or `IdTaken` for somebody else's hold."""
    if order_id in basket.holds:
        order = await free_hold(session, order_id, basket.organisation, basket.currency)
        if order.merged_into is not None:
            raise NotPossibleNow("The seats are part of another order. Open that one.")
        return order
    order = await create_order(session, order_id, basket.organisation, currency=basket.currency)
    if order.stage == FunnelStage.INTERESTED or order.hold_released or order.merged_into is not None:
        raise IdTaken(TAKEN)
    return order


async def _again(
    session: AsyncSession,
    order: Order,
    basket: Basket,
    holders: Mapping[Place, Contact],
    customer: Contact,
    body: Buying,
    caller: Caller,
    settings: Settings,
) -> Order:
    """The quote of its own hold opens an order again; any other is opened to who made it."""
    if order.id not in basket.holds:
        if not (basket.is_of(order) and _same_buyer(order, customer, caller)):
            raise IdTaken(TAKEN)
        if order.stage != FunnelStage.AWAITING_PAYMENT:
            return order
    if order.stage != FunnelStage.AWAITING_PAYMENT:
        raise NotPossibleNow("The order is already paid or cancelled.", stage=order.stage)
    if not basket.is_of(order):
        raise NotPossibleNow("The order was placed with other contents. Order the rest by itself.", stage=order.stage)
    another_method = order.payment_method != body.payment_method
    _fill(order, body, customer, caller, settings)
    cause = Cause(caller.email or customer.email or "buyer", "buyer")
    _name_participants(order, holders, customer)
    if another_method:
        # However often the method is changed, the seats are not kept longer than for an invoice.
        latest = (order.placed_at or order.created_at) + timedelta(days=settings.invoice_days)
        pay_by = min(_pay_by(body, settings, basket), latest)
        await happen(session, order, h.MethodChanged(pay_by=pay_by), cause)
    await changed(session, order, "checked_out_again", cause, payment_method=body.payment_method)
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


def _holders(basket: Basket, participants: Sequence[SeatHolder], region: str) -> dict[Place, Contact]:
    places = [(quote.hold_id, seat.seat) for quote in basket.quotes for seat in quote.seats]
    holders: dict[Place, Contact] = {}
    by_seat: dict[str, list[Place]] = {}
    for place in places:
        by_seat.setdefault(place[1], []).append(place)
    for person in participants:
        own = [place for place in by_seat.get(person.seat, []) if person.hold_id in (None, place[0])]
        if not own:
            raise Invalid(f"Seat {person.seat} is not part of the order.", seat=person.seat)
        if len(own) > 1:
            raise Invalid(f"Seat {person.seat} is in two holds: name the one by hold_id.", seat=person.seat)
        if own[0] in holders:
            raise Invalid(f"Seat {person.seat} has two participants.", seat=person.seat)
        holders[own[0]] = contact(person, region, person.name)
    return holders


def _name_participants(order: Order, holders: Mapping[Place, Contact], customer: Contact) -> None:
    """A participant whom no message can reach gets the ticket by way of the customer."""
    for line in order.lines:
        if line.hold_id is None:
            continue
        holder = holders.get((line.hold_id, line.reference), customer)
        line.participant_name = holder.name
        own = holder.email or holder.phone
        line.participant_email = holder.email if own else customer.email
        line.participant_phone = holder.phone if own else customer.phone


def _pay_by(body: Buying, settings: Settings, basket: Basket) -> datetime:
    if body.payment_method == "invoice":
        return datetime.now(UTC) + timedelta(days=settings.invoice_days)
    seconds = min((quote.payment_seconds or settings.payment_seconds for quote in basket.quotes), default=None)
    return datetime.now(UTC) + timedelta(seconds=seconds or settings.payment_seconds)


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
