"""One seed of the fault run, a new one each time; `FAULT_SEED` repeats one."""

from __future__ import annotations

import os
import random

import pytest

from tests.faults.crowd import PARTS, draw
from tests.faults.scenario import BUYERS, VICTIMS, VISITS, run


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_when_every_part_is_killed_while_buyers_buy() -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**6))
    outcome = await run(seed)
    assert not outcome.wrong, f"FAULT_SEED={seed}: " + "; ".join(outcome.wrong)
    assert sorted(outcome.kills) == sorted(VICTIMS)
    assert set(outcome.played) == set(PARTS)


def test_a_seed_says_who_does_what_and_every_part_is_played_at_once() -> None:
    drawn = [draw(random.Random(seed), BUYERS, VISITS) for seed in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {len(visits) for visits in drawn[0]} == {VISITS}
    assert {visits[0] for visits in drawn[0]} == set(PARTS)
