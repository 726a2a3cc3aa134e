"""What requests and answers about shows are made of."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated
from uuid import UUID

from pydantic import Field
from uuid_utils.compat import uuid7

from chassis.texts import STORABLE
from contracts.money import Currency
from contracts.ticketing import ShowStatus
from services.ticketing.schemas import Body, Moment, Name, Price, PrintedTwice, Seat
from services.ticketing.shows.layout import Layout, ZoneSpec
from services.ticketing.shows.tables import Show

MAX_ZONES = 500
MOST_NAMED = 50

Category = Annotated[str, Field(max_length=1_000), STORABLE]
"""As the plan writes it, blanks and all."""
Period = Annotated[int, Field(ge=1, le=30 * 86400)]


class ZoneIn(Body):
    name: Name
    price: Price
    categories: Annotated[list[Category], Field(max_length=100_000, default_factory=list)]
    """Categories of the hall's plan that are sold at this price."""
    seats: Annotated[list[Seat], Field(max_length=100_000, default_factory=list)]
    """Single seats that are, whatever their category's price."""
    invoice_allowed: bool | None = None
    """Whether "Order an invoice" is offered for these tickets (ORD-39, SET-1); as the show says if null."""

    def spec(self) -> ZoneSpec:
        categories, seats = tuple(self.categories), tuple(self.seats)
        return ZoneSpec(uuid7(), self.name, self.price.money(), categories, seats, self.invoice_allowed)


Zones = Annotated[list[ZoneIn], Field(max_length=MAX_ZONES)]


class ShowIn(Body):
    hall_id: UUID
    name: Name
    starts_at: Moment
    currency: Currency
    invoice_allowed: bool = False
    """Whether "Order an invoice" is offered, unless a price zone says otherwise (ORD-39)."""
    hold_seconds: Period | None = None
    """How long a buyer has the seats before ordering (SET-5); the platform's own period if there is none."""
    payment_seconds: Period | None = None
    """How long a card order may wait for its money; the platform's own period if there is none."""
    price_zones: Zones = Field(default_factory=list)


class ShowPatch(Body):
    """What is left out stays. A period that is null is removed: then the platform's counts."""

    name: Name | None = None
    starts_at: Moment | None = None
    invoice_allowed: bool | None = None
    hold_seconds: Period | None = None
    payment_seconds: Period | None = None
    confirm: bool = False
    """The new date is meant, although people have seats for the old one or the sale ends at once."""


class ReopenIn(Body):
    starts_at: Moment
    """When it begins, since its date was wrong."""


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
    invoice_allowed: bool | None


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
                    invoice_allowed=zone.invoice_allowed,
                )
                for zone in layout.specs
            ],
        )


class ShowStarted(ShowOut):
    printed_twice: list[PrintedTwice] = Field(default_factory=list)
    """Seats for sale whose tickets would say the same place: the first of them."""

    @classmethod
    def of(cls, layout: Layout) -> ShowStarted:
        same = ([seat for seat in seats if seat in layout.offers] for seats in layout.places.twice)
        sold = (seats for seats in same if len(seats) > 1)
        named = [PrintedTwice(place=layout.offers[seats[0]].label, seats=seats) for seats in islice(sold, MOST_NAMED)]
        return cls(**dict(ShowOut.of(layout)), printed_twice=named)


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

    @classmethod
    def of(cls, show: Show, hall_name: str, seats: int) -> ShowSummary:
        return cls(
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


class ShowList(Body):
    items: list[ShowSummary]
    next: str | None
