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
from contracts.ticketing import FULL_FARE, Area, Fare, HeldPlaces, PriceZone, ShowStatus
from services.ticketing.errors import PriceZonesRefused
from services.ticketing.halls.places import Seats

NAMED = 10


@dataclass(frozen=True, slots=True)
class AreaSpec:
    """Places that nobody chooses one by one, as staff wrote them."""

    area_id: UUID
    name: str
    capacity: int


Priced = tuple[str, str | None, Money]
"""A fare: its key, its name where there are several, and its price."""


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

    @cached_property
    def usual(self) -> Priced:
        """What is asked for unless another fare is chosen."""
        return next(iter(self._fares.values()))

    def fare(self, wanted: str) -> Priced | None:
        return self._fares.get(wanted)

    @cached_property
    def _fares(self) -> dict[str, Priced]:
        if not self.fares:
            return {FULL_FARE: (FULL_FARE, None, self.price)}
        several = len(self.fares) > 1
        return {fare.fare: (fare.fare, fare.name if several else None, fare.price) for fare in self.fares}


@dataclass(frozen=True, slots=True)
class Offer:
    """A seat at its price. Its JSON is written once, however often it is asked for."""

    seat: str
    label: str
    zone_name: str
    price: Money
    fare: str
    fare_name: str | None
    json: orjson.Fragment = field(compare=False)
    """As `HeldSeat` of the contract."""

    @classmethod
    def of(
        cls,
        seat: str,
        label: str,
        zone_id: str,
        zone_name: str,
        price: Money,
        fare: str = FULL_FARE,
        fare_name: str | None = None,
    ) -> Offer:
        held = {
            "seat": seat,
            "label": label,
            "zone_id": zone_id,
            "zone_name": zone_name,
            "price": {"minor": price.minor, "currency": price.currency},
            "fare": fare,
            **({"fare_name": fare_name} if fare_name else {}),
        }
        return cls(seat, label, zone_name, price, fare, fare_name, orjson.Fragment(orjson.dumps(held)))


@dataclass(frozen=True, slots=True)
class Places:
    """Some places of an area at a fare."""

    area: UUID
    label: str
    zone_name: str
    fare: str
    fare_name: str | None
    quantity: int
    price: Money
    """Of one."""
    json: orjson.Fragment = field(compare=False)
    """As `HeldPlaces` of the contract."""

    @classmethod
    def of(cls, held: HeldPlaces) -> Places:
        return cls(
            held.area,
            held.label,
            held.zone_name,
            held.fare,
            held.fare_name,
            held.quantity,
            held.price,
            orjson.Fragment(held.model_dump_json(exclude_none=True).encode()),
        )

    @property
    def key(self) -> tuple[UUID, str]:
        return self.area, self.fare


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
        self._at: dict[tuple[str, str], Offer] = {}

    def __getitem__(self, seat: str) -> Offer:
        known = self._known.get(seat)
        if known is None:
            known = self._make(seat, self._zones[seat].usual)
            self._known[seat] = known
        return known

    def at(self, seat: str, fare: str) -> Offer | None:
        """A seat that is for sale at this fare; None if its zone has no such fare."""
        known = self._at.get((seat, fare))
        if known is None:
            found = self._zones[seat].fare(fare)
            if found is None:
                return None
            known = self._at[seat, fare] = self._make(seat, found)
        return known

    def zone_of(self, seat: str) -> ZoneSpec | None:
        """The price zone of a seat; None if it is not for sale."""
        return self._zones.get(seat)

    def _make(self, seat: str, priced: Priced) -> Offer:
        zone, (fare, fare_name, price) = self._zones[seat], priced
        label = self._zones.seats[seat].label(self._locale)
        return Offer.of(seat, label, zone.text_id, zone.name, price, fare, fare_name)

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

    def area(self, item: str) -> tuple[AreaSpec, ZoneSpec] | None:
        """The area of this id, with its price zone."""
        return self._areas.get(item)

    @cached_property
    def _areas(self) -> dict[str, tuple[AreaSpec, ZoneSpec]]:
        return {str(key): found for key, found in self.areas.items()}

    def places_of(self, item: str, fare: str | None, quantity: int) -> Places | None:
        """Places of an area of the show; None if it has no such fare."""
        area, zone = self._areas[item]
        priced = zone.usual if fare is None else zone.fare(fare)
        if priced is None:
            return None
        held = HeldPlaces(
            area=area.area_id,
            label=area.name,
            zone_id=zone.zone_id,
            zone_name=zone.name,
            fare=priced[0],
            fare_name=priced[1],
            quantity=quantity,
            price=priced[2],
        )
        return Places.of(held)

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

    def invoice_for(self, seats: Iterable[Offer], places: Iterable[Places] = ()) -> bool:
        """Whether all these seats and places may be ordered by invoice (ORD-39)."""
        areas = (self.areas.get(each.area) for each in places)
        own = [self.offers.invoice_allowed(seat.seat) for seat in seats]
        own += [found[1].invoice_allowed if found else None for found in areas]
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
