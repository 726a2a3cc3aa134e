"""What a request wants held: seats and places, each at a fare."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError

from chassis.texts import ONE_LINE
from contracts.ticketing import Channel
from services.ticketing.errors import HoldInvalid, SeatsNotForSale, ShowNotOnSale, TooManySeats
from services.ticketing.schemas import Body, Name
from services.ticketing.shows.best import Best
from services.ticketing.shows.layout import Layout, Offer, Places

NAMED = 10
SAID = ("channel", "name", "note")


@dataclass(frozen=True, slots=True)
class Item:
    """A seat, or some places of an area."""

    item: str
    """`seat_guid`, or the id of the area."""
    fare: str | None = None
    """The usual one if None."""
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of a request, as it was sent."""

    items: Sequence[Item]
    best: Best | None = None
    """What is to be chosen, instead of items."""
    channel: str | None = None
    """As the caller's if None."""
    name: str | None = None
    """Who the ticket desk keeps it for."""
    note: str | None = None

    @property
    def is_for_the_desk(self) -> bool:
        return self.channel is not None or self.name is not None or self.note is not None


class _Said(Body):
    """What the ticket desk says of a hold."""

    model_config = ConfigDict(extra="ignore")

    channel: Channel | None = None
    # Columns of a batch travel as one text, separated by control characters.
    name: Annotated[Name, ONE_LINE] | None = None
    note: Annotated[str, Field(min_length=1, max_length=2000), ONE_LINE] | None = None


class BestIn(Body):
    """So many seats side by side, the best that are free."""

    quantity: Annotated[int, Field(ge=1, le=2**31, strict=True)]
    zone: UUID | None = None
    """The price zone; any if there is none."""
    fare: Annotated[str, Field(max_length=100)] | None = None
    """The usual one of their zone if there is none."""
    accessible: bool = False
    """Seats of accessible zones, which are given to those only who ask for them."""
    cheapest: bool = False
    """The cheapest zone instead of the dearest."""

    @property
    def best(self) -> Best:
        return Best(self.quantity, self.zone, self.fare, self.accessible, self.cheapest)


T = TypeVar("T", bound=Body)


def parse(body: dict[str, Any]) -> Wanted:
    """What the body of a request wants: `seats` or `items`, and what the desk says of it. Raises `HoldInvalid`."""
    named = [name for name in ("seats", "items", "best") if body.get(name) is not None]
    if len(named) != 1:
        raise HoldInvalid("Say what you want, once: `seats`, `items` or `best`.")
    listed = body[named[0]]
    best = None
    if named[0] == "best":
        best, listed = _model(BestIn, listed).best, []
    elif not isinstance(listed, list) or not listed:
        raise HoldInvalid(f"`{named[0]}` must be a list that names at least one.")
    if best is not None:
        items = []
    elif named[0] == "seats":
        if not all(isinstance(seat, str) for seat in listed):
            raise HoldInvalid("`seats` must be a list of seat ids.")
        items = [Item(seat) for seat in listed]
    else:
        items = [_item(each) for each in listed]
    if body.keys().isdisjoint(SAID):
        return Wanted(items, best)
    said = _model(_Said, body)
    return Wanted(items, best, said.channel, said.name, said.note)


def _model(kind: type[T], body: Any) -> T:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise HoldInvalid(f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}.") from None


def _item(each: Any) -> Item:
    if not isinstance(each, dict) or not each.keys() <= {"item", "fare", "quantity"}:
        raise HoldInvalid('An item is {"item": "<seat_guid or area_id>", "fare": "child", "quantity": 2}.')
    item, fare, quantity = each.get("item"), each.get("fare"), each.get("quantity", 1)
    if not isinstance(item, str) or not isinstance(fare, str | None):
        raise HoldInvalid("`item` and `fare` are texts.")
    if type(quantity) is not int or quantity < 1:
        raise HoldInvalid("`quantity` is a whole number, at least 1.")
    return Item(item, fare, quantity)


def priced(layout: Layout, wanted: Sequence[Item], limit: int) -> tuple[tuple[Offer, ...], tuple[Places, ...]]:
    """Seats and places with their prices, in key order.

    Raises `TooManySeats`, `HoldInvalid`, `SeatsNotForSale`, and `ShowNotOnSale` for a draft.
    """
    units = sum(item.quantity for item in wanted)
    if units > limit:
        raise TooManySeats(f"At most {limit} can be held at once; you asked for {units}.", limit=limit)
    offers = layout.offers
    seats = [item for item in wanted if item.item in layout.places]
    others = [item for item in wanted if item.item not in layout.places] if len(seats) < len(wanted) else []
    missing = [item.item for item in seats if item.item not in offers]
    missing += [item.item for item in others if layout.area(item.item) is None]
    if missing:
        raise _not_for_sale(layout, missing)
    if any(item.quantity > 1 for item in seats):
        raise HoldInvalid("There is one of each seat: its quantity is 1.")
    if len({item.item for item in seats}) != len(seats):
        raise HoldInvalid("Name every seat once.")
    found = [offers[item.item] if item.fare is None else offers.at(item.item, item.fare) for item in seats]
    places = [layout.places_of(item.item, item.fare, item.quantity) for item in others]
    if lacking := [item for item, offer in zip((*seats, *others), (*found, *places), strict=True) if offer is None]:
        named = ", ".join(f"{item.fare!r} of {item.item!r}" for item in lacking[:NAMED])
        raise SeatsNotForSale(f"There is no fare {named}.", seats=[item.item for item in lacking])
    kept = tuple(each for each in places if each is not None)
    if len({each.key for each in kept}) != len(kept):
        raise HoldInvalid("Name every fare of an area once, with its quantity.")
    return (
        tuple(sorted((each for each in found if each is not None), key=lambda offer: offer.seat)),
        tuple(sorted(kept, key=lambda each: each.key)),
    )


def must_be_offered(layout: Layout, best: Best, limit: int) -> None:
    """Raises `TooManySeats`, and `SeatsNotForSale` where no zone is meant."""
    if best.quantity > limit:
        raise TooManySeats(f"At most {limit} can be held at once; you asked for {best.quantity}.", limit=limit)
    if not best.zones(layout):
        if layout.status == "draft":
            raise ShowNotOnSale("Tickets for this show are not on sale.", show_status=str(layout.status))
        raise SeatsNotForSale("No price zone of this show has such seats at this fare.", seats=[])


def _not_for_sale(layout: Layout, missing: list[str]) -> Exception:
    if layout.status == "draft":
        return ShowNotOnSale("Tickets for this show are not on sale.", show_status=str(layout.status))
    unknown = [item for item in missing if item not in layout.places]
    named = ", ".join(map(repr, missing[:NAMED]))
    why = "are neither seats nor areas of this show" if unknown else "have no price and are not for sale"
    return SeatsNotForSale(f"{named} {why}.", seats=missing)


def mark(seats: Sequence[Offer], places: Sequence[Places]) -> str:
    """The same for the same seats, places and fares, in whatever form and order they were asked for."""
    text = "\x1f".join(
        [*(f"{seat.seat}\x1e{seat.fare}" for seat in seats), *(f"{p.area}\x1e{p.fare}\x1e{p.quantity}" for p in places)]
    )
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
