"""Nobody empties a hall by holding it: seats that a buyer, or a network, holds at once are limited."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from chassis.edge import Caller
from services.ticketing.holds.allowance import Limits, counted
from services.ticketing.holds.requests import Granted, Refused
from tests.ticketing.holds.crowd import answers, ask, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.tickets.box import Box

LIMITS = Limits(buyer=(3, 4), network=(5, 6))


def network() -> str:
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::/64"


def told(got: list[object]) -> list[object]:
    """What was granted, and the limits that were passed."""
    return [answer.most if isinstance(answer, Refused) else isinstance(answer, Granted) for answer in got]


async def test_an_account_holds_so_many_seats_of_a_show_and_together(db):
    first, second, buyer = await make_show(db), await make_show(db), uuid4()
    async with open_lane(db, limits=LIMITS) as lane:
        assert told(await answers([lane], [ask(first, "1-1", "1-2", account_id=buyer, buyer=buyer)])) == [True]
        more = [
            ask(first, "1-3", "1-4", account_id=buyer, buyer=buyer),
            ask(first, "1-3", "1-4", account_id=uuid4(), buyer=uuid4()),
            ask(second, "1-1", "1-2", account_id=buyer, buyer=buyer),
        ]
        assert told(await answers([lane], more)) == [3, True, 4]
        # What the same batch asked for before counts, although it was refused; alone it is granted.
        (again,) = await answers([lane], [ask(second, "1-1", "1-2", account_id=buyer, buyer=buyer)])
        assert isinstance(again, Granted)


async def test_all_accounts_of_a_network_count_together_in_all_processes(db):
    show, there = await make_show(db), network()
    async with open_lane(db, limits=LIMITS) as one, open_lane(db, limits=LIMITS) as other:
        accounts = [uuid4() for _ in range(4)]
        requests = [
            ask(show, f"1-{2 * n + 1}", f"1-{2 * n + 2}", account_id=who, network=there)
            for n, who in enumerate(accounts)
        ]
        assert told([*await answers([one], requests[:2]), *await answers([other], requests[2:3])]) == [True, True, 5]
        assert told(await answers([other], [ask(show, "1-9", network=network())])) == [True]


async def test_a_crowd_of_one_network_in_one_batch_gets_what_is_left(db):
    show, there = await make_show(db, 1, 20), network()
    async with open_lane(db, limits=LIMITS) as lane:
        got = await answers([lane], [ask(show, f"1-{n}", network=there) for n in range(1, 21)])
    assert told(got) == [True] * 5 + [5] * 15


async def test_seats_count_until_they_are_free_or_sold(db):
    show, there = await make_show(db), network()
    async with open_lane(db, limits=LIMITS) as lane:
        box = Box(db, show, lane)
        orders = [await box.hold(*seats, network=there) for seats in (("1-1", "1-2"), ("1-3", "1-4"), ("1-5",))]
        await let_run_out(db, show.show_id, UUID(orders[0].hold["hold_id"]))
        await lapse_all(db)
        assert told(await answers([lane], [ask(show, "1-6", network=there)])) == [5]
        await box.hear(orders[0].unclaimed())
        await box.hear(orders[1].paid())
        assert told(await answers([lane], [ask(show, "1-6", "1-7", "1-8", "1-9", network=there)])) == [True]
        assert told(await answers([lane], [ask(show, "1-10", network=there)])) == [5]


async def test_the_same_hold_again_is_no_other(db):
    show, there, hold_id = await make_show(db), network(), uuid4()
    async with open_lane(db, limits=LIMITS) as lane:
        seats = ("1-1", "1-2", "1-3", "1-4")
        for _ in range(2):
            assert told(await answers([lane], [ask(show, *seats, hold_id=hold_id, network=there)])) == [True]


@pytest.mark.parametrize(
    ("caller", "production", "expected"),
    [
        (Caller(network="203.0.113.5"), True, (False, "203.0.113.5")),
        (Caller(uuid4(), email="proven@example.com", network="203.0.113.5"), True, (True, "203.0.113.5")),
        (Caller(uuid4(), network="203.0.113.5"), True, (False, "203.0.113.5")),
        (Caller(uuid4(), email="proven@example.com", network="127.0.0.1"), False, (False, None)),
        (Caller(network="127.0.0.1"), True, (False, "127.0.0.1")),
    ],
)
def test_an_account_counts_if_its_address_is_proven_and_this_machine_in_production(caller, production, expected):
    buyer, where = counted(caller, production=production)
    assert (buyer is not None, where) == expected


async def test_the_limit_stands_at_the_edge(theatre, tokens):
    show = await theatre.show()
    here, there = (tokens.sign({"net": net}) for net in ("203.0.113.77", "203.0.113.78"))
    for seat in ("1-1", "1-2", "1-3"):
        assert (await theatre.hold(show, seat, token=here)).status == 201
    refused = await theatre.hold(show, "1-4", "1-5", token=here)
    assert (refused.status, refused.body["type"], refused.body["limit"]) == (409, "/problems/too-many-held", 4)
    assert (await theatre.hold(show, "1-4", "1-5", token=there)).status == 201
