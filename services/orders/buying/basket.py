"""What one order is about to contain: seats and places of signed quotes, courses and goods of the catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.keys import KeySet
from chassis.money import show
from chassis.problems import Invalid
from contracts.money import Money
from contracts.orders import LineKind
from services.orders.buying import quotes
from services.orders.buying.contacts import Contact, Person, contact
from services.orders.buying.quotes import Quote
from services.orders.catalogue.tables import Offer
from services.orders.errors import BadQuote, InvoiceNotOffered, OfferNotFound, OfferNotOnSale, PriceChanged
from services.orders.order.lines import MOST_LINES, course_lines, hold_lines, offer_line
from services.orders.order.tables import Order, OrderLine


class Bought(BaseModel):
    """How many of an offer, and for whom."""

    model_config = ConfigDict(extra="forbid")

    quantity: int = Field(default=1, ge=1, le=1000)
    unit_price: Money | None = None
    """The price that the buyer saw: if it is another one by now, the order is refused."""
    participants: list[Person] = Field(default_factory=list, max_length=1000)
    """The students of a course, one for each place; a single place without one is for the customer."""


class Item(Bought):
    offer_id: UUID


@dataclass(frozen=True, slots=True)
class Basket:
    organisation: UUID
    currency: str
    quotes: tuple[Quote, ...] = ()
    offers: tuple[tuple[Offer, Bought], ...] = ()

    @property
    def holds(self) -> set[UUID]:
        return {quote.hold_id for quote in self.quotes}

    @property
    def title(self) -> str:
        return self.quotes[0].show_name if self.quotes else self.offers[0][0].name

    def allows_invoice(self) -> None:
        """Raises `InvoiceNotOffered`."""
        if not all(quote.invoice_allowed for quote in self.quotes):
            raise InvoiceNotOffered("Pay by card: the organiser does not offer invoices for these tickets.")
        if not all(offer.invoice_allowed for offer, _ in self.offers):
            raise InvoiceNotOffered("Pay by card: invoices are not offered for this.")

    def is_as_seen(self) -> None:
        """Everything of the catalogue is sold, for the price that the buyer saw. Raises what says otherwise."""
        for offer, bought in self.offers:
            if not offer.on_sale:
                raise OfferNotOnSale(f"{offer.name} is not sold at the moment.", offer_id=str(offer.id))
            now = Money(minor=offer.price, currency=offer.currency)
            if bought.unit_price not in (None, now):
                raise PriceChanged(
                    f"{offer.name} costs {show(now, 'en')}. Show the buyer this price, and send it as unit_price.",
                    offer_id=str(offer.id),
                    unit_price=now.model_dump(),
                )

    def lines(self, order: Order, region: str) -> list[OrderLine]:
        """Raises `Invalid` or `BadContact` where a course lacks its students."""
        lines: list[OrderLine] = []
        for quote in self.quotes:
            lines += hold_lines(order, quote.hold_id, quote.show_id, quote.seats, quote.places)
        for offer, bought in self.offers:
            lines += lines_of(order, offer, bought, region)
        if len(lines) > MOST_LINES:
            raise Invalid(f"One order has up to {MOST_LINES} lines. Order the rest by itself.")
        return lines

    def is_of(self, order: Order) -> bool:
        """Whether it is what the order contains already."""
        holds = {line.hold_id for line in order.lines if line.hold_id}
        sold = Counter[str]()
        for line in order.lines:
            if line.hold_id is None:
                sold[line.reference] += line.quantity
        return holds == self.holds and sold == {str(offer.id): bought.quantity for offer, bought in self.offers}


def lines_of(order: Order, offer: Offer, bought: Bought, region: str) -> list[OrderLine]:
    """One line of goods; of a course, one for each student. Raises `Invalid`, `BadContact`."""
    if offer.kind != LineKind.COURSE:
        if bought.participants:
            raise Invalid(f"{offer.name} has no participants.")
        return [offer_line(order, offer, bought.quantity)]
    students = _students(offer, bought, region)
    return course_lines(order, offer, [(who.name, who.email, who.phone) for who in students])


def _students(offer: Offer, bought: Bought, region: str) -> Sequence[Contact]:
    """None of a single place: it is for the customer."""
    if not bought.participants and bought.quantity == 1:
        return []
    if len(bought.participants) != bought.quantity:
        raise Invalid(
            f"Name each student of {offer.name}: {bought.quantity} places, {len(bought.participants)} participants.",
            offer_id=str(offer.id),
        )
    return [contact(person, region, person.name) for person in bought.participants]


async def read_quotes(keys: KeySet, tokens: Iterable[str]) -> tuple[Quote, ...]:
    """Raises `BadQuote`, `HoldOver`."""
    read = [await quotes.verify(keys, token) for token in tokens]
    if len({quote.hold_id for quote in read}) < len(read):
        raise BadQuote("Two of the quotes are of the same hold.")
    return tuple(read)


async def fill_basket(session: AsyncSession, read: tuple[Quote, ...], items: Sequence[Item]) -> Basket:
    """Raises `OfferNotFound`, or `Invalid` for what cannot be one order."""
    if len({item.offer_id for item in items}) < len(items):
        raise Invalid("An offer is named twice: send it once, with the quantity of both.")
    ids = [item.offer_id for item in items]
    found = {offer.id: offer for offer in await session.scalars(select(Offer).where(Offer.id.in_(ids)))} if ids else {}
    if missing := [item.offer_id for item in items if item.offer_id not in found]:
        raise OfferNotFound("There is no offer with this id in the catalogue.", offer_id=str(missing[0]))
    offers = tuple((found[item.offer_id], item) for item in items)
    sides = {(quote.organisation, quote.currency) for quote in read}
    sides |= {(offer.organisation, offer.currency) for offer, _ in offers}
    if not sides:
        raise Invalid("Send a quote, quotes, or items: the order would be empty.")
    if len(sides) > 1:
        raise Invalid("One order is of one organisation and one currency. Make an order for each.")
    organisation, currency = sides.pop()
    return Basket(organisation, currency, read, offers)
