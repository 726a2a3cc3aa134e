"""What is kept in memory goes by its size."""

from __future__ import annotations

from uuid import uuid4

from services.ticketing.kept import Kept


def test_the_one_used_longest_ago_goes_when_all_weigh_too_much() -> None:
    kept: Kept[str] = Kept(10)
    first, second, third, huge = (uuid4() for _ in range(4))
    kept.keep(first, "a", 4)
    kept.keep(second, "b", 4)
    assert kept.get(first) == "a"
    kept.keep(third, "c", 4)
    assert set(kept) == {first, third}
    kept.keep(first, "aa", 6)
    assert (kept.get(first), kept.get(third)) == ("aa", "c"), "its old weight counts no more"
    kept.keep(huge, "h", 1_000)
    assert list(kept) == [huge], "one thing is kept, however large"
    kept.forget(huge)
    kept.keep(first, "a", 10)
    assert kept.get(first) == "a"
    assert second not in kept
