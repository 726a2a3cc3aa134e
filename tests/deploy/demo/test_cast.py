"""Who comes to a hall: sixty buyers, or what a small hall has room for."""

from __future__ import annotations

import pytest

from deploy.demo.people import BUYERS, FIGHTERS, MOST, PARTS, cast, name_of_run


def test_a_usual_hall_has_room_for_everybody():
    found = cast(800)
    assert found.buyers == BUYERS
    assert found.left_out == []
    assert found.seats == {part: usual for part, (usual, _) in PARTS.items()}
    assert 140 <= found.wanted <= 160


@pytest.mark.parametrize("free", range(1, 240))
def test_nobody_is_promised_a_seat_that_is_not_there(free):
    found = cast(free)
    assert sum(found.seats.values()) <= found.wanted <= free
    assert found.usual * MOST + sum(found.seats.values()) <= free
    assert all(count >= PARTS[part][1] for part, count in found.seats.items())
    assert FIGHTERS <= found.buyers <= BUYERS


def test_the_smallest_halls_play_what_tells_most():
    assert cast(1).seats == {"fights for the same seats": 1}
    assert "gets one seat refunded" in cast(5).left_out
    assert cast(9).left_out == []


def test_a_run_is_never_found_by_a_phone_number():
    assert all(name_of_run()[0] in "abcdef" for _ in range(50))
