"""Seats as people find them: zone, row and number, in their language."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from services.ticketing.halls.neighbours import Block

WORDS = {
    "en": ("row", "seat"),
    "uk": ("ряд", "місце"),
    "pl": ("rząd", "miejsce"),
    "ru": ("ряд", "место"),
}
NO_ROW = {"", "-", "–", "—"}
"""What plans write for places that have no rows, such as numbered standing places."""


class Place(NamedTuple):
    """Where a seat is. `row_label` and `seat_label` are what the plan wants printed instead of "row 5" and "seat 7"."""

    seat: str
    category: str
    zone: str
    row: str
    number: str
    row_label: str | None = None
    seat_label: str | None = None

    def parts(self, locale: str) -> tuple[str, ...]:
        """What is printed: at most zone, row and seat."""
        row_word, seat_word = WORDS.get(locale, WORDS["en"])
        row = self.row_label or ("" if self.row.strip() in NO_ROW else f"{row_word} {self.row}")
        seat = self.seat_label or (f"{seat_word} {self.number}" if self.number.strip() else "")
        return tuple(part for part in (self.zone, row, seat) if part.strip())

    def label(self, locale: str) -> str:
        return ", ".join(self.parts(locale)) or self.seat

    @property
    def printed(self) -> tuple[str, ...]:
        """What tells it from other places on paper, in any language: two that are equal cannot be told apart."""
        printed = (self.zone, *((self.row_label, "") if self.row_label else ("", self.row)), *self._number)
        return tuple(" ".join(part.split()).casefold() for part in printed)

    @property
    def _number(self) -> tuple[str, str]:
        return (self.seat_label, "") if self.seat_label else ("", self.number)

    def to_dict(self) -> dict[str, Any]:
        return self._asdict()


Twice = tuple[tuple[str, ...], ...]
"""Seats that print the same place, together."""


class Seats(dict[str, Place]):
    """The places of a hall by their seat, in the plan's order."""

    def __init__(self) -> None:
        super().__init__()
        self.categories: Counter[str] = Counter()
        """How many seats each category has."""
        self.order: dict[str, int] = {}
        """Where each seat stands in the plan's order."""
        self.twice: Twice = ()
        self.blocks: list[Block] = []
        """Which seats stand side by side, by their place in the plan's order."""

    @classmethod
    def of(cls, found: Iterable[Place]) -> Seats:
        seats = cls()
        seats.add(found)
        seats.twice = printed_twice(seats.values())
        return seats

    def add(self, found: Iterable[Place]) -> None:
        for place in found:
            self.order[place.seat] = len(self)
            self[place.seat] = place
            self.categories[place.category] += 1


def places(document: bytes | str) -> Iterator[Place]:
    """Every seat of a checked plan, in the plan's order. In labels `%s` stands for the number, as in pretix."""
    for zone in orjson.loads(document)["zones"]:
        for row in zone["rows"]:
            row_label = _fill(row.get("row_label"), row["row_number"])
            seat_label = row.get("seat_label")
            for seat in row["seats"]:
                yield Place(
                    seat=seat["seat_guid"],
                    category=seat["category"],
                    zone=zone.get("name", ""),
                    row=row["row_number"],
                    number=seat["seat_number"],
                    row_label=row_label,
                    seat_label=_fill(seat_label, seat["seat_number"]),
                )


def printed_twice(found: Iterable[Place]) -> Twice:
    """The seats whose tickets would say the same place: two people would be sent to one chair."""
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for place in found:
        if place.parts("en"):
            together[place.printed].append(place.seat)
    return tuple(tuple(seats) for seats in together.values() if len(seats) > 1)


def _fill(label: str | None, number: str) -> str | None:
    return label.replace("%s", number) if label else None
