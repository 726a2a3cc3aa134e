"""Which seat costs what. Pure."""

from __future__ import annotations

from uuid import uuid4

import orjson
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from contracts.money import Money
from services.ticketing.errors import PriceZonesRefused
from services.ticketing.halls.places import Seats, places
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import ZoneSpec, assign, offers
from services.ticketing.shows.queries import visible
from tests.ticketing.holds.crowd import board_of, make_show
from tests.ticketing.plans import two_categories

PLACES = Seats.of(places(orjson.dumps(two_categories())))
CATEGORIES = sorted({place.category for place in PLACES.values()})

zones = st.lists(
    st.builds(
        ZoneSpec,
        zone_id=st.builds(uuid4),
        name=st.text(max_size=3),
        price=st.builds(Money, minor=st.integers(0, 10**9), currency=st.just("UAH")),
        categories=st.lists(st.sampled_from(CATEGORIES), max_size=2).map(tuple),
        seats=st.lists(st.sampled_from(sorted(PLACES)), max_size=4).map(tuple),
    ),
    max_size=3,
)


@given(zones)
def test_every_seat_has_at_most_one_price_and_single_seats_go_first(specs):
    try:
        assigned = assign(PLACES, specs)
    except PriceZonesRefused:
        singles = [seat for spec in specs for seat in set(spec.seats)]
        groups = [name for spec in specs for name in set(spec.categories)]
        assert len(singles) != len(set(singles)) or len(groups) != len(set(groups))
        return
    for seat, place in PLACES.items():
        named = [spec for spec in specs if seat in spec.seats]
        by_category = [spec for spec in specs if place.category in spec.categories]
        expected = (named or by_category or [None])[0]
        assert assigned.get(seat) is expected
    for_sale, summary = offers(PLACES, specs, "uk")
    assert set(for_sale) == set(assigned)
    assert len(for_sale) == len(set(for_sale)) == sum(zone.seats for zone in summary)
    assert all(for_sale[seat].price == assigned[seat].price for seat in for_sale)


def test_a_free_seat_may_cost_nothing():
    free = ZoneSpec(uuid4(), "Запрошення", Money.zero("UAH"), seats=("1-1",))
    for_sale, _ = offers(PLACES, [free], "pl")
    assert for_sale["1-1"].price == Money.zero("UAH")
    assert for_sale["1-1"].label == "Партер, rząd 1, miejsce 1"
    assert "1-2" not in for_sale


async def test_a_layout_is_read_once_however_often_it_is_looked_at(db, monkeypatch):
    show, board = await make_show(db), board_of(db)
    read: list[int] = []
    lay_out = Board.lay_out

    async def noted(self, session, row, zones):
        read.append(row.version)
        return await lay_out(self, session, row, zones)

    monkeypatch.setattr(Board, "lay_out", noted)
    for version in (1, 1, 2, 2):
        async with db.as_worker() as session:
            await session.execute(
                text("UPDATE show SET version = :v WHERE id = :id"), {"v": version, "id": show.show_id}
            )
        async with db.as_worker() as session:
            assert (await visible(session, board, show.show_id, None)).version == version
    assert read == [1, 2]
