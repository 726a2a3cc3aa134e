"""Reading plans beside the event loop: checking what staff bring, and the seats of a hall for selling them."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from services.ticketing.errors import SeatingPlanRefused
from services.ticketing.halls import imports, plan
from services.ticketing.halls.neighbours import Block, blocks
from services.ticketing.halls.places import Place, Seats, Twice, places, printed_twice
from services.ticketing.halls.workshop import TooHeavy, Workshop

SMALL = 50_000
"""Bytes that are read at once: a hall of some 300 seats takes a millisecond."""
CHUNK = 500
"""Seats taken over in one turn of the event loop. Not in a thread: it would hold the interpreter's lock while the
machine lets others run."""


async def check_import(workshop: Workshop, raw: bytes) -> tuple[str, plan.CheckedPlan]:
    """Name and plan of an import. Raises `SeatingPlanRefused`, `Invalid` and `Unavailable`."""
    if len(raw) <= SMALL:
        return imports.check(raw)
    try:
        return await workshop.run(imports.check, raw)
    except TooHeavy:
        raise SeatingPlanRefused("Reading the plan takes too much memory or time. Is it one of a hall?") from None


async def read_seats(workshop: Workshop, document: str) -> Seats:
    """The seats of a checked plan."""
    if len(document) <= SMALL:
        small = Seats.of(places(document))
        small.blocks = blocks(document)
        return small
    seats = Seats()
    chunks, twice, seats.blocks = await workshop.run(packed, document)
    for chunk in chunks:
        seats.add(_each(chunk))
        await asyncio.sleep(0)
    seats.twice = twice
    return seats


async def read_categories(workshop: Workshop, document: str) -> list[dict[str, Any]]:
    """Name, colour and number of seats of each category of a checked plan."""
    if len(document) <= SMALL:
        return categories(document)
    return await workshop.run(categories, document)


def categories(document: str) -> list[dict[str, Any]]:
    counts = Counter(place.category for place in places(document))
    return [
        {"name": each["name"], "color": each.get("color"), "seats": counts[each["name"]]}
        for each in plan.categories_of(document)
    ]


def packed(document: str) -> tuple[list[bytes], Twice, list[Block]]:
    """The seats of a checked plan, so many at a time, in JSON; those that print the same place; and which stand side by
    side."""
    found = list(places(document))
    rows = map(tuple, found)
    chunks = []
    while chunk := list(islice(rows, CHUNK)):
        chunks.append(orjson.dumps(chunk))
    return chunks, printed_twice(found), blocks(document)


def _each(chunk: bytes) -> Iterator[Place]:
    for seat, category, zone, row, *rest in orjson.loads(chunk):
        # Thousands of seats share a zone, and a category.
        yield Place(seat, sys.intern(category), sys.intern(zone), sys.intern(row), *rest)
