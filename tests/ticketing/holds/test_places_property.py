"""Whatever happens to holds of places, in any order: the counter of an area is what its holds have, sold places are
living tickets, and there are never more than fit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ticketing.errors import HoldAtItsLimit, HoldEnded, HoldOrdered
from services.ticketing.holds.commands import extend_hold, release_hold
from services.ticketing.holds.requests import Granted
from tests.ticketing.holds.crowd import ask, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.theatre import Order
from tests.ticketing.tickets.box import Box

CAPACITIES = (6, 4)
FARES = [("adult", 10_000), ("child", 5_000)]

number = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("place"),
            st.dictionaries(
                st.tuples(st.integers(0, 1), st.sampled_from(["adult", "child"])),
                st.integers(1, 4),
                min_size=1,
                max_size=3,
            ),
        ),
        st.tuples(st.sampled_from(["release", "expire", "lapse", "claim", "paid", "cancel", "extend"]), number),
        st.tuples(st.just("void"), number, st.integers(1, 4), st.booleans()),
    ),
    min_size=3,
    max_size=14,
)


class World:
    """A show with two areas, and the orders that were made so far."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.orders: list[Order] = []
        self.requests: dict[int, UUID] = {}

    async def step(self, name: str, *more: Any) -> None:
        if name == "place":
            await self.place(more[0])
        elif self.orders:
            order = self.orders[more[0] % len(self.orders)]
            await getattr(self, name)(order, *more[1:])

    async def place(self, wanted: dict[tuple[int, str], int]) -> None:
        items = [(area, quantity, fare) for (area, fare), quantity in wanted.items()]
        request = ask(self.box.layout, *items)
        self.box.lane.join(request)
        if isinstance(await request.future, Granted):
            self.orders.append(self.box.order_of(request, await request.future))

    async def release(self, order: Order) -> None:
        async with self.box.db.as_worker() as session:
            try:
                await release_hold(session, UUID(order.hold["hold_id"]), None)
            except (HoldEnded, HoldOrdered):
                pass

    async def extend(self, order: Order) -> None:
        async with self.box.db.as_worker() as session:
            hour = timedelta(hours=1)
            try:
                await extend_hold(
                    session,
                    UUID(order.hold["hold_id"]),
                    self.box.layout.organisation,
                    lifetime=2 * hour,
                    usual=hour,
                    buffer=timedelta(0),
                )
            except (HoldEnded, HoldAtItsLimit):
                pass

    async def expire(self, order: Order) -> None:
        await let_run_out(self.box.db, self.box.layout.show_id, UUID(order.hold["hold_id"]))

    async def lapse(self, order: Order) -> None:
        await lapse_all(self.box.db)
        await self.box.hear(order.unclaimed())

    async def claim(self, order: Order) -> None:
        await self.box.hear(order.placed(datetime.now(UTC) + timedelta(hours=2)))

    async def paid(self, order: Order) -> None:
        await self.box.hear(order.paid())

    async def cancel(self, order: Order) -> None:
        await self.box.hear(order.cancelled())

    async def void(self, order: Order, quantity: int, again: bool) -> None:
        """Some tickets; a request that comes again asks for the same."""
        known = self.requests.get(id(order)) if again else None
        request = known or uuid4()
        self.requests[id(order)] = request
        await self.box.hear(order.revoked_places(quantity, request=request))

    async def check(self) -> None:
        for area, capacity in zip(await self.box.counted(), CAPACITIES, strict=True):
            assert area["taken"] == area["has"] <= capacity
            assert area["sold"] == area["tickets"]


async def test_the_counter_is_what_holds_and_tickets_have(db):
    loop = asyncio.get_running_loop()

    async def play(story: list[tuple[Any, ...]]) -> None:
        layout = await make_show(db, areas=CAPACITIES, fares=FARES)
        async with open_lane(db) as lane:
            world = World(Box(db, layout, lane))
            for step in story:
                await world.step(*step)
                await world.check()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(steps)
    def property_holds(story: list[tuple[Any, ...]]) -> None:
        asyncio.run_coroutine_threadsafe(play(story), loop).result(120)

    await asyncio.to_thread(property_holds)
