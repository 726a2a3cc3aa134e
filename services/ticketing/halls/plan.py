"""Seating plans in pretix's open JSON format.

`read` accepts what pretix's schema accepts, also its first version of 2019, in which many plans are still about
(draft-07, no other properties anywhere), and checks beyond it what the schema cannot say: every `seat_guid` occurs once
and every seat's category exists. The document is kept as it came, so an export is the import.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from chassis.texts import ONE_LINE, STORABLE
from services.ticketing.errors import SeatingPlanRefused
from services.ticketing.halls.places import Place, places, printed_twice

MAX_SEATS = 100_000
MAX_BYTES = 32 * 1024 * 1024
MAX_PARTS = 100_000
"""Zones, rows, areas and categories together; points of a polygon."""
MAX_ERRORS = 50
"""Faults that are told; whoever has made more looks for the kind, not for each."""
AT_ONCE = 50
"""Parts that are validated together: so many faults may be found beyond the last one that is told."""
NAMED = 10
"""So many offending seats are named in a sentence; `MAX_ERRORS` are in the list beside it."""
SAID = 3
"""The same for faults of the format."""

Guid = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
Text = Annotated[str, Field(max_length=1_000), STORABLE]
Number = Annotated[float, Field(allow_inf_nan=False)]
"""Of drawing only, so any size and sign will do."""


Where = tuple[int | str, ...]

Parts = list[Any]
"""Validated by themselves, a few at a time, so that a million faults cost no more than some."""


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    parts: ClassVar[dict[str, type[_Node]]] = {}
    """What the lists of `Parts` are made of."""


class Position(_Node):
    x: Number
    y: Number


class Seat(_Node):
    seat_guid: Guid
    seat_number: Text
    category: Text
    position: Position
    uuid: Text | None = None
    radius: Number = 10
    start_direction: Text | None = None


class Row(_Node):
    row_number: Text
    seats: Parts
    position: Position | None = None
    row_number_position: Literal["start", "end", "both"] | None = None
    row_label: Text | None = None
    seat_label: Text | None = None
    uuid: Text | None = None
    number_of_seats: int | None = None
    """Of the schema's first version, like `seats_spacing`, `Zone.displayed`, and `width` and `height` of an area."""
    seats_spacing: Number | None = None

    parts = {"seats": Seat}


class Polygon(_Node):
    points: Annotated[list[Position], FailFast(), Field(max_length=MAX_PARTS)]


class Rectangle(_Node):
    width: Number
    height: Number


class Ellipse(_Node):
    radius: Position


class Circle(_Node):
    radius: Number


class AreaText(_Node):
    text: Text
    position: Position
    color: Text | None = None
    size: Number | None = None


def _bare_text(value: object) -> object:
    """The first version has the text alone, at the area's own position."""
    return {"text": value, "position": {"x": 0, "y": 0}} if isinstance(value, str) else value


class Area(_Node):
    shape: Literal["polygon", "rectangle", "ellipse", "circle", "text"] | None = None
    color: Text | None = None
    border_color: Text | None = None
    rotation: Number | None = None
    position: Position | None = None
    uuid: Text | None = None
    polygon: Polygon | None = None
    rectangle: Rectangle | None = None
    ellipse: Ellipse | None = None
    circle: Circle | None = None
    text: Annotated[AreaText | None, BeforeValidator(_bare_text)] = None
    width: Number | None = None
    height: Number | None = None


class Zone(_Node):
    position: Position
    rows: Parts
    name: Text = ""
    zone_id: Text | None = None
    uuid: Text | None = None
    areas: Parts = []
    displayed: bool | None = None

    parts = {"rows": Row, "areas": Area}


class Category(_Node):
    name: Text
    color: Text | None = None


class Size(_Node):
    width: Number
    height: Number


class SeatingPlan(_Node):
    name: Text
    categories: Parts
    zones: Parts
    size: Size | None = None

    parts = {"categories": Category, "zones": Zone}


@dataclass(frozen=True, slots=True)
class CategoryCount:
    name: str
    color: str | None
    seats: int


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan that may be used: its document as it came, and what is in it."""

    document: bytes
    name: str
    seats: int
    categories: tuple[CategoryCount, ...]
    twice: tuple[tuple[Place, ...], ...] = ()
    """The first places that several seats would print, each with the first of its seats."""
    more_twice: int = 0
    """How many such places there are besides."""


def read(raw: bytes) -> CheckedPlan:
    """The plan in a JSON document.

    Raises `SeatingPlanRefused` with an entry for each of the first faults; faults of seats name the seats.
    """
    if len(raw) > MAX_BYTES:
        raise SeatingPlanRefused(f"The plan is larger than {MAX_BYTES // 1024 // 1024} MiB.")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise SeatingPlanRefused(f"The plan is not JSON: {error}.") from None
    return check(document)


def check(document: object) -> CheckedPlan:
    """The same for a document that is parsed already."""
    if not isinstance(document, dict):
        raise SeatingPlanRefused("The plan must be a JSON object in pretix's seating-plan format.")
    _refuse_masses(document)
    faults = list(islice(_faults(SeatingPlan, [document], ()), MAX_ERRORS + 1))
    if faults:
        raise _unlike_schema(faults)
    counts = _count(document)
    try:
        kept = orjson.dumps(document)
    except TypeError as error:
        raise SeatingPlanRefused(f"The plan cannot be kept: {error}.") from None
    by_seat = {place.seat: place for place in places(kept)}
    twice = printed_twice(by_seat.values())
    return CheckedPlan(
        document=kept,
        name=document["name"],
        seats=sum(counts.values()),
        categories=tuple(
            CategoryCount(name=name, color=color, seats=counts[name])
            for name, color in {each["name"]: each.get("color") for each in document["categories"]}.items()
        ),
        twice=tuple(tuple(by_seat[seat] for seat in seats[:MAX_ERRORS]) for seats in twice[:MAX_ERRORS]),
        more_twice=len(twice[MAX_ERRORS:]),
    )


def _refuse_masses(document: dict[str, Any]) -> None:
    """Counts before anything is looked at closely. Raises for more seats, or other parts, than may be."""
    zones = [zone for zone in _list(document, "zones") if isinstance(zone, dict)]
    rows = [row for zone in zones for row in _list(zone, "rows") if isinstance(row, dict)]
    seats = sum(len(_list(row, "seats")) for row in rows)
    if seats > MAX_SEATS:
        raise SeatingPlanRefused(f"The plan has {seats} seats; at most {MAX_SEATS} are possible.")
    parts = len(_list(document, "zones")) + len(_list(document, "categories"))
    parts += sum(len(_list(zone, "rows")) + len(_list(zone, "areas")) for zone in zones)
    if parts > MAX_PARTS:
        raise SeatingPlanRefused(
            f"The plan has {parts} zones, rows, areas and categories; at most {MAX_PARTS} are possible."
        )


def _list(parent: dict[str, Any], name: str) -> list[Any]:
    found = parent.get(name)
    return found if isinstance(found, list) else []


def _faults(kind: type[_Node], nodes: list[Any], where: Where) -> Iterator[tuple[Where, str]]:
    """What is wrong with some nodes of a kind, and with their parts."""
    for start in range(0, len(nodes), AT_ONCE):
        some = nodes[start : start + AT_ONCE]
        try:
            _several(kind).validate_python(some)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False, include_input=False):
                number, *inner = fault["loc"]
                yield (*where, start + int(number), *inner), _say(fault["type"], fault["msg"])
        except RecursionError:
            raise SeatingPlanRefused("The plan is nested too deeply.") from None
        for number, node in enumerate(some, start):
            for name, part in kind.parts.items() if isinstance(node, dict) else ():
                yield from _faults(part, _list(node, name), (*where, number, name))


@cache
def _several(kind: type[_Node]) -> TypeAdapter[list[_Node]]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


def _count(document: dict[str, Any]) -> dict[str, int]:
    """Seats per category. Raises for duplicate ids, unknown categories, and plans without seats."""
    known = {category["name"] for category in document["categories"]}
    counts: dict[str, int] = defaultdict(int)
    where: dict[str, list[str]] = defaultdict(list)
    unknown: dict[str, list[str]] = defaultdict(list)
    for zone, row, seat in _places(document):
        guid, category = seat["seat_guid"], seat["category"]
        where[guid].append(f"zone {zone.get('name', '')!r} row {row['row_number']!r} seat {seat['seat_number']!r}")
        counts[category] += 1
        if category not in known:
            unknown[category].append(guid)
    if duplicates := {guid: places for guid, places in where.items() if len(places) > 1}:
        raise _duplicates(duplicates)
    if unknown:
        raise _unknown_categories(unknown, known)
    if not where:
        raise SeatingPlanRefused("The plan has no seats: nothing could be sold.")
    return counts


def _places(document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    for zone in document["zones"]:
        for row in zone["rows"]:
            for seat in row["seats"]:
                yield zone, row, seat


def _duplicates(duplicates: dict[str, list[str]]) -> SeatingPlanRefused:
    named = "; ".join(f"{guid!r} ({len(places)} times)" for guid, places in list(duplicates.items())[:NAMED])
    more = f"; and {len(duplicates) - NAMED} more" if len(duplicates) > NAMED else ""
    return SeatingPlanRefused(
        f"{len(duplicates)} seat ids (seat_guid) occur more than once, so a ticket would not name one seat: "
        f"{named}{more}. Give every seat its own seat_guid.",
        duplicates=[
            {"seat_guid": guid, "places": places[:MAX_ERRORS]} for guid, places in list(duplicates.items())[:MAX_ERRORS]
        ],
    )


def _unknown_categories(unknown: dict[str, list[str]], known: set[str]) -> SeatingPlanRefused:
    named = "; ".join(
        f"category {name!r} of {', '.join(map(repr, guids[:NAMED]))}{' ...' if len(guids) > NAMED else ''}"
        for name, guids in list(unknown.items())[:NAMED]
    )
    return SeatingPlanRefused(
        f"{sum(map(len, unknown.values()))} seats are of a category that the plan does not have: {named}. "
        f"Its categories are {', '.join(map(repr, sorted(known))) or 'none'}.",
        unknown_categories=[
            {"category": name, "seats": guids[:MAX_ERRORS]} for name, guids in list(unknown.items())[:MAX_ERRORS]
        ],
    )


def _unlike_schema(faults: list[tuple[Where, str]]) -> SeatingPlanRefused:
    entries = [{"where": _path(where[1:]), "problem": problem} for where, problem in faults[:MAX_ERRORS]]
    named = "; ".join(f"{entry['where'] or 'the plan'}: {entry['problem']}" for entry in entries[:SAID])
    count = "many" if len(faults) > MAX_ERRORS else str(len(faults) - SAID)
    more = f"; and {count} more" if len(faults) > SAID else ""
    return SeatingPlanRefused(f"The plan is not in pretix's seating-plan format: {named}{more}.", errors=entries)


def _path(location: Where) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _say(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "the format has no such property"
    if kind == "missing":
        return "is required"
    return message[:1].lower() + message[1:].removeprefix("alue error, ") if kind != "value_error" else message[13:]


def categories_of(document: str) -> list[dict[str, Any]]:
    """The categories of a checked plan."""
    found: list[dict[str, Any]] = orjson.loads(document)["categories"]
    return found
