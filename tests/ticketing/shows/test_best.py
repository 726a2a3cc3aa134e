"""The best seats together: neighbours, the best row first, no single seats left over where avoidable. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.money import Money
from contracts.ticketing import Fare, ShowStatus
from services.ticketing.halls.neighbours import blocks
from services.ticketing.halls.places import Seats, places
from services.ticketing.shows.best import Best, Chooser
from services.ticketing.shows.layout import Layout, ZoneSpec, offers
from tests.ticketing.plans import plan

FREE, TAKEN = b"fh"


def uah(minor: int) -> Money:
    return Money(minor=minor, currency="UAH")


def laid_out(document: dict[str, Any], *zones: ZoneSpec) -> Layout:
    raw = orjson.dumps(document)
    seats = Seats.of(places(raw))
    seats.blocks = blocks(raw)
    specs = zones or (ZoneSpec(uuid4(), "Z", uah(100), ("Партер",)),)
    for_sale, summary = offers(seats, specs, "uk")
    return Layout(
        show_id=uuid4(),
        organisation=uuid4(),
        version=1,
        name="S",
        starts_at=datetime(2090, 1, 1, tzinfo=UTC),
        hall_id=uuid4(),
        hall_name="H",
        currency="UAH",
        invoice_allowed=False,
        hold_seconds=None,
        payment_seconds=None,
        status=ShowStatus.ON_SALE,
        places=seats,
        offers=for_sale,
        zones=summary,
        specs=specs,
    )


def chooser(layout: Layout, *taken: str) -> Chooser:
    states = bytearray([FREE]) * len(layout.places)
    for seat in taken:
        states[layout.places.order[seat]] = TAKEN
    return Chooser(layout, states, FREE)


def row(number: int, *seats: int) -> list[str]:
    return [f"{number}-{seat}" for seat in seats]


@pytest.mark.parametrize(
    ("taken", "quantity", "expected"),
    [
        ([], 2, row(1, 5, 6)),
        ([], 10, row(1, *range(1, 11))),
        (row(1, 5, 6), 2, row(1, 3, 4)),
        # 1-3 alone would be left over between what is taken and the best two.
        (row(1, 1, 2, 6, 7, 8, 9, 10), 2, row(2, 5, 6)),
        # In the second row nothing is left over, so the first waits for three.
        (row(1, 4, 5, 6, 7, 8, 9, 10), 3, row(1, 1, 2, 3)),
        # Nowhere can it be avoided: the best row.
        ([*row(1, 4, *range(8, 11)), *row(2, 4, *range(8, 11))], 2, row(1, 5, 6)),
        (row(1, *range(1, 11)), 10, row(2, *range(1, 11))),
        (row(1, 5), 10, row(2, *range(1, 11))),
        ([*row(1, 5), *row(2, 5)], 10, []),
        ([], 11, []),
    ],
)
def test_the_best_of_two_rows(taken, quantity, expected):
    layout = laid_out(plan(2, 10))
    assert list(chooser(layout, *taken).choose(Best(quantity))) == expected


def test_nobody_sits_across_an_aisle():
    document = plan(1, 10)
    for seat in document["zones"][0]["rows"][0]["seats"][5:]:
        seat["position"]["x"] += 60
    chosen = chooser(laid_out(document))
    assert list(chosen.choose(Best(5))) == row(1, 1, 2, 3, 4, 5)
    assert not chosen.choose(Best(6))
    assert chosen.most(Best(6)) == 5


def test_neighbours_are_told_by_where_seats_stand_and_not_by_the_order_of_the_plan():
    document = plan(1, 6)
    seats = document["zones"][0]["rows"][0]["seats"]
    seats[:] = [seats[n] for n in (3, 0, 5, 1, 4, 2)]
    assert sorted(chooser(laid_out(document)).choose(Best(2))) == row(1, 3, 4)


def zoned() -> tuple[Layout, UUID, UUID, UUID]:
    """Row 1 is dear, row 2 cheap with a fare for children, row 3 for wheelchairs."""
    dear = ZoneSpec(uuid4(), "Dear", uah(900), seats=tuple(row(1, *range(1, 5))))
    fares = (Fare(fare="adult", name="A", price=uah(500)), Fare(fare="child", name="C", price=uah(100)))
    cheap = ZoneSpec(uuid4(), "Cheap", uah(500), seats=tuple(row(2, *range(1, 5))), fares=fares)
    wide = ZoneSpec(uuid4(), "Wide", uah(9_000), seats=tuple(row(3, *range(1, 5))), accessible=True)
    return laid_out(plan(3, 4), cheap, wide, dear), dear.zone_id, cheap.zone_id, wide.zone_id


def test_zones_fares_and_accessible_seats_are_as_asked_for():
    layout, dear, cheap, wide = zoned()
    chosen = chooser(layout)
    asked = {
        Best(2): row(1, 2, 3),
        Best(2, cheapest=True): row(2, 2, 3),
        Best(2, zone=cheap): row(2, 2, 3),
        Best(2, fare="child"): row(2, 2, 3),
        Best(2, zone=dear, fare="child"): [],
        Best(2, accessible=True): row(3, 2, 3),
        Best(2, zone=wide): [],
        Best(5): [],
    }
    # In a row of four nothing is left over but two single seats, or two together.
    assert {best: sorted(chosen.choose(best)) for best in asked} == {
        best: expected and [f"{expected[0][0]}-{n}" for n in (1, 2)] for best, expected in asked.items()
    }


def test_what_is_kept_is_chosen_for_nobody_else():
    chosen = chooser(laid_out(plan(1, 4)))
    first = chosen.choose(Best(2))
    chosen.keep(first)
    second = chosen.choose(Best(2))
    assert set(first).isdisjoint(second)
    chosen.keep(second)
    assert not chosen.choose(Best(1))
    chosen.let_go(first)
    assert chosen.choose(Best(2)) == first


@given(st.sets(st.sampled_from([f"{r}-{s}" for r in (1, 2, 3) for s in range(1, 8)])), st.integers(1, 7))
def test_seats_are_found_if_there_are_any_and_stand_side_by_side(taken, quantity):
    layout = laid_out(plan(3, 7))
    found = [tuple(map(int, seat.split("-"))) for seat in chooser(layout, *taken).choose(Best(quantity))]
    possible = any(
        all(f"{r}-{s}" not in taken for s in range(start, start + quantity))
        for r in (1, 2, 3)
        for start in range(1, 9 - quantity)
    )
    assert bool(found) == possible
    if found:
        assert found == [(found[0][0], found[0][1] + n) for n in range(quantity)]
        assert taken.isdisjoint(f"{r}-{s}" for r, s in found)
