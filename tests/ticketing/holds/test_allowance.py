"""Nobody empties a hall by holding it: seats that a buyer holds at once are limited (guidance F1)."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.edge import Caller
from contracts.accounts import Role
from contracts.ticketing import HoldEnd, HoldExtended, HoldReleased
from services.ticketing.errors import OutcomeUnknown, SeatsTaken, TooManyHeld
from services.ticketing.holds.allowance import Allowance
from services.ticketing.settings import Settings
from tests.events import event

SHOW, THEATRE = uuid4(), uuid4()
BUYER, SOMEBODY = Caller(account_id=uuid4()), Caller()
ADDRESS = "203.0.113.5"


class Office:
    """A box office that always has the seats, unless it is to fail."""

    error: Exception | None = None

    async def place(self, *_: Any) -> tuple[bool, bytes]:
        if self.error is not None:
            raise self.error
        return True, b""


class Board:
    async def get(self, show_id: UUID) -> Any:
        return SimpleNamespace(organisation=THEATRE, hold_seconds=None)


class Hall:
    """An allowance of three seats for an account and five for an address, on a clock of its own."""

    def __init__(self, **more: Any) -> None:
        self.now = 1_000_000.0
        self.office: Any = Office()
        board: Any = Board()
        settings = Settings(buyer_max_seats=3, address_max_seats=5, **more)
        self.allowance = Allowance(self.office, board, settings, lambda: self.now)

    async def hold(
        self, seats: int, caller: Caller = BUYER, address: str = ADDRESS, show: UUID = SHOW, hold_id: UUID | None = None
    ) -> UUID:
        hold_id = hold_id or uuid4()
        await self.allowance.place(show, hold_id, ["s"] * seats, caller, address)
        return hold_id


async def test_a_buyer_holds_so_many_seats_of_a_show_and_no_more() -> None:
    hall = Hall()
    first = await hall.hold(2)
    with pytest.raises(TooManyHeld, match="You hold 2 seats"):
        await hall.hold(2)
    await hall.hold(1)
    await hall.hold(2, hold_id=first)  # the same hold again is no other
    await hall.hold(3, show=uuid4())
    await hall.hold(3, Caller(account_id=uuid4()))


async def test_those_who_are_signed_out_share_an_address() -> None:
    hall = Hall()
    await hall.hold(5, SOMEBODY)
    with pytest.raises(TooManyHeld):
        await hall.hold(1, SOMEBODY)
    await hall.hold(5, SOMEBODY, "203.0.113.6")
    await hall.hold(50, SOMEBODY, "")  # inside, not through the gateway


async def test_the_desk_has_no_limit_in_its_own_organisation() -> None:
    hall = Hall()
    await hall.hold(50, Caller(uuid4(), THEATRE, frozenset({Role.TICKET_DESK})))
    for caller in (
        Caller(uuid4(), uuid4(), frozenset({Role.TICKET_DESK})),
        Caller(uuid4(), THEATRE, frozenset({Role.STOREKEEPER})),
    ):
        with pytest.raises(TooManyHeld):
            await hall.hold(50, caller)


async def test_seats_count_until_their_hold_ends() -> None:
    hall = Hall()
    first = await hall.hold(3)
    hall.now += 899
    with pytest.raises(TooManyHeld):
        await hall.hold(1)
    hall.now += 1
    second = await hall.hold(3)
    released = HoldReleased(hold_id=second, show_id=SHOW, seats=("s",), reason=HoldEnd.RELEASED)
    hall.allowance.hear(event(released, THEATRE))
    third = await hall.hold(3)
    later = event(HoldExtended(hold_id=third, show_id=SHOW, expires_at=_moment(hall.now + 5000)), THEATRE)
    hall.allowance.hear(later)
    hall.now += 4999
    with pytest.raises(TooManyHeld):
        await hall.hold(1)
    hall.now += 1
    await hall.hold(3)
    assert first not in hall.allowance._held
    assert len(hall.allowance._held) == len(hall.allowance._totals) == 1, "nothing is kept for ever"


async def test_only_seats_that_the_buyer_may_have_count() -> None:
    hall = Hall()
    hall.office.error = SeatsTaken("Somebody else has them.")
    for _ in range(3):
        with pytest.raises(SeatsTaken):
            await hall.hold(3)
    hall.office.error = OutcomeUnknown("The database did not answer.")
    with pytest.raises(OutcomeUnknown):
        await hall.hold(3)
    hall.office.error = None
    with pytest.raises(TooManyHeld):
        await hall.hold(1)


async def test_a_hold_that_is_asked_for_again_in_vain_still_counts() -> None:
    """Otherwise a buyer takes seats, repeats the hold while the service is busy, and takes as many once more."""
    hall = Hall()
    held = await hall.hold(3)
    hall.office.error = SeatsTaken("Too busy to look.")
    for _ in range(2):
        with pytest.raises(SeatsTaken):
            await hall.hold(3, hold_id=held)
    hall.office.error = None
    with pytest.raises(TooManyHeld):
        await hall.hold(1)


async def test_this_machine_is_limited_in_production_only() -> None:
    await Hall().hold(50, SOMEBODY, "127.0.0.1")
    secrets = {"link_secret": "s" * 32, "erasure_key": "e" * 32}
    own: dict[str, Any] = {"quote_signing_key": "a key", "ticket_signing_key": "another", **secrets}
    with pytest.raises(TooManyHeld):
        await Hall(footlights_env="production", **own).hold(50, SOMEBODY, "127.0.0.1")


async def test_the_limit_stands_at_the_edge(theatre) -> None:
    seats = [f"{row}-{seat}" for row in range(1, 3) for seat in range(1, 11)]
    show = await theatre.show()
    headers = {"X-Forwarded-For": "203.0.113.77"}
    for seat in seats[:3]:
        assert (await theatre.hold(show, seat, headers=headers)).status == 201
    refused = await theatre.hold(show, *seats[3:5], headers=headers)
    assert (refused.status, refused.body["type"], refused.body["held"]) == (409, "/problems/too-many-held", 3)
    assert (await theatre.hold(show, *seats[3:5], headers={"X-Forwarded-For": "203.0.113.78"})).status == 201


def _moment(seconds: float) -> Any:
    return datetime.fromtimestamp(seconds, UTC)
