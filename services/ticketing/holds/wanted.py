"""What a request wants held: seats and places, each at a fare."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError

from chassis.texts import ONE_LINE
from contracts.ticketing import Channel
from services.ticketing.errors import HoldInvalid, SeatsNotForSale, ShowNotOnSale, TooManySeats
from services.ticketing.schemas import Body, Name
from services.ticketing.shows.best import Best
from services.ticketing.shows.layout import Layout, Offer, Places

NAMED = 10
WAYS = ("seats", "items", "best")
SAID = ("channel", "name", "note")


class Item(NamedTuple):
    """A seat, or some places of an area."""

    item: str
    """`seat_guid`, or the id of the area."""
    fare: str | None = None
    """The usual one if None."""
    quantity: int = 1


class Wanted(NamedTuple):
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
    if sum([body.get(way) is not None for way in WAYS]) != 1:
        raise HoldInvalid("Say what you want, once: `seats`, `items` or `best`.")
    seats, wanted = body.get("seats"), body.get("best")
    if seats is not None:
        if not _is_list(seats) or not all(type(seat) is str for seat in seats):
            raise HoldInvalid("`seats` must be a list of seat ids, at least one.")
        items = [Item(seat) for seat in seats]
    elif wanted is not None:
        items = []
    elif _is_list(body["items"]):
        items = [_item(each) for each in body["items"]]
    else:
        raise HoldInvalid("`items` must be a list that names at least one.")
    best = None if wanted is None else _model(BestIn, wanted).best
    if body.keys().isdisjoint(SAID):
        return Wanted(items, best)
    said = _model(_Said, body)
    return Wanted(items, best, said.channel, said.name, said.note)


def _is_list(value: Any) -> bool:
    return type(value) is list and bool(value)


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
    units = sum([item.quantity for item in wanted])
    if units > limit:
        raise TooManySeats(f"At most {limit} can be held at once; you asked for {units}.", limit=limit)
    usual = _at_the_usual_fare(layout, wanted)
    return _chosen(layout, wanted) if usual is None else (usual, ())


def _at_the_usual_fare(layout: Layout, wanted: Sequence[Item]) -> tuple[Offer, ...] | None:
    """What nearly all want: some seats, each once. None for anything else."""
    offers = layout.offers
    names = [name for name, fare, quantity in wanted if fare is None and quantity == 1 and name in offers]
    if len(names) != len(wanted) or (len(names) > 1 and len(set(names)) != len(names)):
        return None
    return tuple([offers[name] for name in sorted(names)])


def _chosen(layout: Layout, wanted: Sequence[Item]) -> tuple[tuple[Offer, ...], tuple[Places, ...]]:
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
    named = [f"{seat.seat}\x1e{seat.fare}" for seat in seats]
    if places:
        named += [f"{each.area}\x1e{each.fare}\x1e{each.quantity}" for each in places]
    return hashlib.blake2b("\x1f".join(named).encode(), digest_size=12).hexdigest()
