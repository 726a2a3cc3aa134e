"""The best seats together that are free, chosen from the seat map in memory. Pure.

Zones go by their price, the dearest first, rows in the order of the plan, and in a row what is nearest to its middle.
Seats are neighbours if they stand side by side and cost the same. No single seat is left over if that can be avoided
within the zone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from services.ticketing.shows.layout import Layout, ZoneSpec


@dataclass(frozen=True, slots=True)
class Best:
    """So many seats side by side are wanted."""

    quantity: int
    zone: UUID | None = None
    """Any if None."""
    fare: str | None = None
    """The usual one of their zone if None."""
    accessible: bool = False
    """Accessible seats are given only to those who ask, and those who ask get no others."""
    cheapest: bool = False
    """The cheapest zone goes first."""

    def zones(self, layout: Layout) -> list[ZoneSpec]:
        """Those that may be chosen from, the best first."""
        ranked = [
            (priced[2].minor, zone)
            for zone in layout.specs
            if zone.accessible == self.accessible and self.zone in (None, zone.zone_id)
            if (priced := zone.usual if self.fare is None else zone.fare(self.fare)) is not None
        ]
        return [zone for _, zone in sorted(ranked, key=lambda each: each[0] if self.cheapest else -each[0])]


Run = tuple[int, int]
"""Where some free seats begin in a stretch, and how many they are."""


class Stretch:
    """Seats side by side in one zone."""

    __slots__ = ("_runs", "seats")

    def __init__(self, seats: list[int]) -> None:
        self.seats = seats
        self._runs: list[Run] | None = None

    def changed(self) -> None:
        self._runs = None

    def runs(self, states: bytearray, free: int, kept: set[int]) -> list[Run]:
        """The free seats, as they stand together."""
        if self._runs is None:
            self._runs = list(self._look(states, free, kept))
        return self._runs

    def _look(self, states: bytearray, free: int, kept: set[int]) -> Iterator[Run]:
        begin = None
        for position, seat in enumerate(self.seats):
            if states[seat] == free and seat not in kept:
                begin = position if begin is None else begin
            elif begin is not None:
                yield begin, position - begin
                begin = None
        if begin is not None:
            yield begin, len(self.seats) - begin


def _window(runs: Iterable[Run], quantity: int, length: int) -> tuple[bool, int] | None:
    """Whether a single seat is left over, and where the best seats of a stretch begin; None if there are none."""
    middle = (length - quantity) / 2
    windows = (
        (1 in (start - begin, begin + free - start - quantity), abs(start - middle), start)
        for begin, free in runs
        if free >= quantity
        for start in range(begin, begin + free - quantity + 1)
    )
    best = min(windows, default=None)
    return best and (best[0], best[2])


class Chooser:
    """Chooses from the states of the seats of a map, which it shares."""

    def __init__(self, layout: Layout, states: bytearray, free: int) -> None:
        self._layout = layout
        self._states = states
        self._free = free
        self._names = list(layout.places)
        self._kept: set[int] = set()
        self._stretches: dict[UUID, list[Stretch]] = defaultdict(list)
        self._of: dict[int, Stretch] = {}
        for block in layout.places.blocks:
            last = None
            for seat in block:
                zone = layout.offers.zone_of(self._names[seat])
                if zone is not None:
                    if zone is not last:
                        self._stretches[zone.zone_id].append(Stretch([]))
                    self._stretches[zone.zone_id][-1].seats.append(seat)
                    self._of[seat] = self._stretches[zone.zone_id][-1]
                last = zone

    def changed(self, seat: int) -> None:
        """The state of a seat, by its place in the plan's order, is another."""
        stretch = self._of.get(seat)
        if stretch is not None:
            stretch.changed()

    def choose(self, best: Best) -> tuple[str, ...]:
        """The seats, none if there are not so many together."""
        for zone in best.zones(self._layout):
            second = None
            for stretch in self._stretches.get(zone.zone_id, ()):
                runs = stretch.runs(self._states, self._free, self._kept)
                found = _window(runs, best.quantity, len(stretch.seats))
                if found is None:
                    continue
                leaves_single, start = found
                if not leaves_single:
                    return self._named(stretch, start, best.quantity)
                second = second or (stretch, start)
            if second is not None:
                return self._named(*second, best.quantity)
        return ()

    def most(self, best: Best) -> int:
        """How many there are together at most."""
        together = (
            free
            for zone in best.zones(self._layout)
            for stretch in self._stretches.get(zone.zone_id, ())
            for _, free in stretch.runs(self._states, self._free, self._kept)
        )
        return max(together, default=0)

    def keep(self, seats: Iterable[str]) -> None:
        """Chooses these for nobody else until they are let go."""
        self._mark(seats, kept=True)

    def let_go(self, seats: Iterable[str]) -> None:
        self._mark(seats, kept=False)

    @property
    def keeps_any(self) -> bool:
        return bool(self._kept)

    def _mark(self, seats: Iterable[str], *, kept: bool) -> None:
        for name in seats:
            seat = self._layout.places.order.get(name)
            if seat is not None:
                (self._kept.add if kept else self._kept.discard)(seat)
                self.changed(seat)

    def _named(self, stretch: Stretch, start: int, quantity: int) -> tuple[str, ...]:
        return tuple(self._names[seat] for seat in stretch.seats[start : start + quantity])
