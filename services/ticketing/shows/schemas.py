"""What requests and answers about shows are made of."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator
from uuid_utils.compat import uuid7

from chassis.texts import STORABLE
from contracts.money import KnownCurrency
from contracts.ticketing import Fare, ShowStatus
from services.ticketing.schemas import Body, Moment, Name, Price, PrintedTwice, Seat
from services.ticketing.shows.layout import AreaSpec, Layout, ZoneSpec
from services.ticketing.shows.tables import Show

MAX_ZONES = 500
MOST_NAMED = 50

Category = Annotated[str, Field(max_length=1_000), STORABLE]
"""As the plan writes it, blanks and all."""
Period = Annotated[int, Field(ge=1, le=30 * 86400)]


class FareIn(Body):
    fare: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    """Short and lasting, such as `child`; people read the name."""
    name: Name
    price: Price


class AreaIn(Body):
    area_id: UUID | None = None
    """Of an area that gets another name; one that keeps its name is known by it."""
    name: Name
    capacity: Annotated[int, Field(ge=1, le=1_000_000)]


class ZoneIn(Body):
    zone_id: UUID | None = None
    """Of a zone that gets another name; one that keeps its name is known by it."""
    name: Name
    price: Price | None = None
    """What everybody pays; where there are fares, that of the first one."""
    fares: Annotated[list[FareIn], Field(max_length=20, default_factory=list)]
    """What each kind of visitor pays, the usual one first."""
    categories: Annotated[list[Category], Field(max_length=100_000, default_factory=list)]
    """Categories of the hall's plan that are sold at this price."""
    seats: Annotated[list[Seat], Field(max_length=100_000, default_factory=list)]
    """Single seats that are, whatever their category's price."""
    areas: Annotated[list[AreaIn], Field(max_length=200, default_factory=list)]
    """Places that nobody chooses one by one: standing room, kinds of tickets."""
    accessible: bool = False
    """Whether the best available are chosen from these seats only when somebody asks for accessible ones."""
    invoice_allowed: bool | None = None
    """Whether "Order an invoice" is offered for these tickets (ORD-39, SET-1); as the show says if null."""

    @model_validator(mode="after")
    def _has_one_price(self) -> ZoneIn:
        if self.fares:
            if self.price not in (None, self.fares[0].price):
                raise ValueError("the price of a zone with fares is that of its first fare")
            self.price = self.fares[0].price
        if self.price is None:
            raise ValueError("a zone needs a price, or fares")
        return self

    @property
    def ids(self) -> list[UUID]:
        """Those of the zone and its areas that staff sent."""
        return [key for key in (self.zone_id, *(area.area_id for area in self.areas)) if key is not None]

    def spec(self) -> ZoneSpec:
        if self.price is None:
            raise ValueError("a zone without a price was let in")
        return ZoneSpec(
            self.zone_id or uuid7(),
            self.name,
            self.price.money(),
            tuple(self.categories),
            tuple(self.seats),
            self.invoice_allowed,
            fares=tuple(Fare(fare=fare.fare, name=fare.name, price=fare.price.money()) for fare in self.fares),
            accessible=self.accessible,
            areas=tuple(AreaSpec(area.area_id or uuid7(), area.name, area.capacity) for area in self.areas),
        )


Zones = Annotated[list[ZoneIn], Field(max_length=MAX_ZONES)]


class ShowIn(Body):
    hall_id: UUID
    name: Name
    starts_at: Moment
    currency: KnownCurrency
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


class FareOut(Body):
    fare: str
    name: str
    price: Price


class AreaOut(Body):
    area_id: UUID
    name: str
    capacity: int


class ZoneOut(Body):
    zone_id: UUID
    name: str
    price: Price
    seat_count: int
    categories: list[str]
    seats: list[str]
    invoice_allowed: bool | None
    fares: list[FareOut]
    accessible: bool
    areas: list[AreaOut]


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
                    fares=[
                        FareOut(fare=fare.fare, name=fare.name, price=Price(**fare.price.model_dump()))
                        for fare in zone.fares
                    ],
                    accessible=zone.accessible,
                    areas=[AreaOut(area_id=a.area_id, name=a.name, capacity=a.capacity) for a in zone.areas],
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
