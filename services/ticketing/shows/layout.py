"""Which seat is sold at which price: a hall's plan and a show's price zones, worked out. Pure.

A layout belongs to one version of its show. It is kept in memory; the statement that takes seats checks the version, so
an old layout never decides anything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import compress
from uuid import UUID

import orjson

from contracts.money import Money
from contracts.ticketing import FULL_FARE, Area, Fare, PriceZone, ShowStatus
from services.ticketing.errors import PriceZonesRefused
from services.ticketing.halls.places import Seats

NAMED = 10


@dataclass(frozen=True, slots=True)
class AreaSpec:
    """Places that nobody chooses one by one, as staff wrote them."""

    area_id: UUID
    name: str
    capacity: int


@dataclass(frozen=True)
class ZoneSpec:
    """A price zone as staff wrote it (TKT-9, TKT-11)."""

    zone_id: UUID
    name: str
    price: Money
    categories: tuple[str, ...] = ()
    seats: tuple[str, ...] = ()
    invoice_allowed: bool | None = None
    """As the show says when None."""
    fares: tuple[Fare, ...] = ()
    """What each kind of visitor pays, the usual one first; empty where everybody pays the price."""
    accessible: bool = False
    """Whether these seats are given only to those who ask for them."""
    areas: tuple[AreaSpec, ...] = ()

    @cached_property
    def text_id(self) -> str:
        return str(self.zone_id)

    def fare(self, wanted: str | None) -> tuple[str, str | None, Money] | None:
        """Key, name and price of a fare, the usual one if none is wanted; None if the zone has no such fare."""
        if not self.fares:
            return (FULL_FARE, None, self.price) if wanted in (None, FULL_FARE) else None
        found = self.fares[0] if wanted is None else next((fare for fare in self.fares if fare.fare == wanted), None)
        if found is None:
            return None
        return found.fare, found.name if len(self.fares) > 1 else None, found.price


@dataclass(frozen=True, slots=True)
class Offer:
    """A seat at its price. Its JSON is written once, however often it is asked for."""

    seat: str
    label: str
    zone_name: str
    price: Money
    json: orjson.Fragment = field(compare=False)
    """As `HeldSeat` of the contract."""

    @classmethod
    def of(cls, seat: str, label: str, zone_id: str, zone_name: str, price: Money) -> Offer:
        held = {
            "seat": seat,
            "label": label,
            "zone_id": zone_id,
            "zone_name": zone_name,
            "price": {"minor": price.minor, "currency": price.currency},
            "fare": FULL_FARE,
            "fare_name": None,
        }
        return cls(seat, label, zone_name, price, orjson.Fragment(orjson.dumps(held)))


class Assigned(Mapping[str, ZoneSpec]):
    """The zone of each seat that has one. Worked out when it is asked for: what is kept is as large as what staff
    wrote, not as the hall."""

    def __init__(self, seats: Seats, categories: Mapping[str, ZoneSpec], singles: Mapping[str, ZoneSpec]) -> None:
        self.seats = seats
        self._categories = categories
        self._singles = singles

    @cached_property
    def counts(self) -> Counter[UUID]:
        """How many seats each zone has."""
        counts: Counter[UUID] = Counter()
        for category, zone in self._categories.items():
            counts[zone.zone_id] += self.seats.categories[category]
        for seat, zone in self._singles.items():
            counts[zone.zone_id] += 1
            other = self._categories.get(self.seats[seat].category)
            if other is not None:
                counts[other.zone_id] -= 1
        return counts

    def each(self) -> Iterator[bool]:
        """Whether each seat of the hall has a zone, in the plan's order."""
        singles, categories = self._singles, self._categories
        return (seat in singles or place.category in categories for seat, place in self.seats.items())

    def __getitem__(self, seat: str) -> ZoneSpec:
        return self._singles.get(seat) or self._categories[self.seats[seat].category]

    def __contains__(self, seat: object) -> bool:
        return seat in self._singles or (seat in self.seats and self.seats[str(seat)].category in self._categories)

    def __iter__(self) -> Iterator[str]:
        return compress(self.seats, self.each())

    def __len__(self) -> int:
        return self.counts.total()


class Offers(Mapping[str, Offer]):
    """The seats that are for sale. Of a large hall few are asked for before the prices change again, so each is worked
    out when it is asked for."""

    def __init__(self, zones: Assigned, locale: str) -> None:
        self._zones = zones
        self._locale = locale
        self._known: dict[str, Offer] = {}

    def __getitem__(self, seat: str) -> Offer:
        known = self._known.get(seat)
        if known is None:
            zone = self._zones[seat]
            label = self._zones.seats[seat].label(self._locale)
            known = self._known[seat] = Offer.of(seat, label, zone.text_id, zone.name, zone.price)
        return known

    def each(self) -> Iterator[bool]:
        """Whether each seat of the hall is for sale, in the plan's order."""
        return self._zones.each()

    def invoice_allowed(self, seat: str) -> bool | None:
        """What the seat's price zone says; None when it says nothing, or the seat is in none any more."""
        zone = self._zones.get(seat)
        return zone.invoice_allowed if zone else None

    def __contains__(self, seat: object) -> bool:
        return seat in self._known or seat in self._zones

    def __iter__(self) -> Iterator[str]:
        return iter(self._zones)

    def __len__(self) -> int:
        return len(self._zones)


@dataclass(frozen=True, eq=False)
class Layout:
    """A show at one version, and what each of its seats costs."""

    show_id: UUID
    organisation: UUID
    version: int
    name: str
    starts_at: datetime
    hall_id: UUID
    hall_name: str
    currency: str
    invoice_allowed: bool
    hold_seconds: int | None
    payment_seconds: int | None
    status: ShowStatus
    places: Seats
    """Every seat of the hall, in the plan's order."""
    offers: Offers
    """Every seat that is for sale."""
    zones: tuple[PriceZone, ...]
    specs: tuple[ZoneSpec, ...]
    """The zones as staff wrote them."""

    @cached_property
    def text_id(self) -> str:
        return str(self.show_id)

    @cached_property
    def areas(self) -> dict[UUID, tuple[AreaSpec, ZoneSpec]]:
        """Every area with its price zone."""
        return {area.area_id: (area, zone) for zone in self.specs for area in zone.areas}

    @cached_property
    def area_states(self) -> tuple[Area, ...]:
        return tuple(
            Area(area_id=area.area_id, name=area.name, zone_id=zone.zone_id, capacity=area.capacity)
            for area, zone in self.areas.values()
        )

    @cached_property
    def text_organisation(self) -> str:
        return str(self.organisation)

    @cached_property
    def claims(self) -> dict[str, object]:
        """What every quote of the show says."""
        return {
            "show_id": self.text_id,
            "org": self.text_organisation,
            "show": {"name": self.name, "starts_at": self.starts_at},
            "currency": self.currency,
            "payment_seconds": self.payment_seconds,
        }

    def invoice_for(self, seats: Iterable[Offer]) -> bool:
        """Whether all these seats may be ordered by invoice (ORD-39)."""
        own = (self.offers.invoice_allowed(seat.seat) for seat in seats)
        return all(self.invoice_allowed if allowed is None else allowed for allowed in own)


def assign(seats: Seats, zones: Sequence[ZoneSpec]) -> Assigned:
    """The zone of each seat that has one. A seat named singly belongs to that zone, whatever its category's.

    Raises `PriceZonesRefused` for unknown seats or categories, and for those that are in two zones.
    """
    categories: dict[str, list[ZoneSpec]] = defaultdict(list)
    singles: dict[str, list[ZoneSpec]] = defaultdict(list)
    for zone in zones:
        for category in dict.fromkeys(zone.categories):
            categories[category].append(zone)
        for seat in dict.fromkeys(zone.seats):
            singles[seat].append(zone)
    _refuse(
        "are not categories of any seat of this hall", [name for name in categories if name not in seats.categories]
    )
    _refuse("are not seats of this hall", [seat for seat in singles if seat not in seats])
    _refuse(
        "are categories in more than one price zone", [name for name, found in categories.items() if len(found) > 1]
    )
    _refuse("are seats in more than one price zone", [seat for seat, found in singles.items() if len(found) > 1])
    first = {name: found[0] for name, found in categories.items()}
    return Assigned(seats, first, {seat: found[0] for seat, found in singles.items()})


def offers(seats: Seats, zones: Sequence[ZoneSpec], locale: str) -> tuple[Offers, tuple[PriceZone, ...]]:
    """What is for sale, and the zones with their number of seats. Raises what `assign` raises."""
    assigned = assign(seats, zones)
    summary = tuple(
        PriceZone(
            zone_id=zone.zone_id,
            name=zone.name,
            price=zone.price,
            seats=assigned.counts[zone.zone_id],
            fares=zone.fares,
        )
        for zone in zones
    )
    return Offers(assigned, locale), summary


def _refuse(fault: str, names: list[str]) -> None:
    if names:
        named = ", ".join(map(repr, names[:NAMED])) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        raise PriceZonesRefused(f"{named} {fault}.", names=names[:1000])
