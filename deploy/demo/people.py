"""Who comes to the demo's hall: sixty buyers, and which of them get into trouble."""

from __future__ import annotations

import random
from dataclasses import dataclass

BUYERS = 60
FIGHTERS = 6
MOST = 3
"""Seats that a buyer without a part takes at most."""
PARTS = {
    "fights for the same seats": (3, 1),
    "lets the hold expire": (2, 1),
    "pays after expiry": (2, 1),
    "pays twice at once": (2, 1),
    "is refunded": (3, 1),
    "gets one seat refunded": (3, 2),
    "orders an invoice": (2, 1),
    "cancels before paying": (2, 1),
}
"""Who gets into trouble, the most telling first: the seats for it as a rule, and at the least."""
NAMES = (
    ("Оксана Ковальчук", "uk"),
    ("Łukasz Żółtowski", "pl"),
    ("Мария Щербакова", "ru"),
    ("Grace Hopper", "en"),
    ("Ївга Їжакевич", "uk"),
    ("Józef Ćwiąkała", "pl"),
)
OPERATORS = (50, 63, 66, 67, 68, 73, 93, 95, 96, 97, 98, 99)
"""Ukrainian mobile networks: two runs on one platform should not have the same numbers, or customers are merged."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who comes to a hall of some size."""

    seats: dict[str, int]
    """How many are kept for each part that is played."""
    usual: int
    """Buyers who come besides, and buy what they like."""
    wanted: int
    """Seats that all of them want, about."""

    @property
    def buyers(self) -> int:
        return self.usual + sum(FIGHTERS if part.startswith("fights") else 1 for part in self.seats)

    @property
    def left_out(self) -> list[str]:
        return [part for part in PARTS if part not in self.seats]


def name_of_run() -> str:
    """Six hexadecimal digits that mark everybody of a run. The first is a letter: they are searched for among
    customers, and digits alone might be part of somebody's phone number."""
    return f"{random.SystemRandom().randrange(0xA00000, 0x1000000):06x}"


def cast(free: int) -> Cast:
    """Sixty buyers, or as many as find seats in a small hall. Where there are not even seats for every part, the last
    ones are not played."""
    seats, left = {}, free
    for part, (_, least) in PARTS.items():
        if least <= left:
            seats[part] = least
            left -= least
    for part in seats:
        more = min(PARTS[part][0] - seats[part], left)
        seats[part] += more
        left -= more
    losers = min(left, (FIGHTERS - 1) * MOST)
    others = BUYERS - FIGHTERS - (len(PARTS) - 1)
    usual = min(others, (left - losers) // MOST)
    return Cast(seats, usual, sum(seats.values()) + min(left, round((usual + FIGHTERS - 1) * 2.5)))


@dataclass(slots=True)
class Person:
    number: int
    run: str
    name: str
    locale: str

    @property
    def email(self) -> str:
        return f"buyer{self.number:02}.{self.run}@example.com"

    @property
    def phone(self) -> str:
        run = int(self.run, 16)
        return f"+380{OPERATORS[run % len(OPERATORS)]}{run // len(OPERATORS) % 10_000:04}{self.number % 1_000:03}"


def person(number: int, run: str) -> Person:
    name, locale = NAMES[number % len(NAMES)]
    return Person(number, run, f"{name} {number}", locale)
