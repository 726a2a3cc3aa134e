"""One seed of the fault run, a new one each time; `FAULT_SEED` repeats one."""

from __future__ import annotations

import os
import random

import pytest

from deploy.platform.ports import SERVICES
from tests.faults.crowd import PARTS
from tests.faults.scenario import run


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_when_every_part_is_killed_while_buyers_buy() -> None:
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**6))
    outcome = await run(seed)
    assert not outcome.wrong, f"FAULT_SEED={seed}: " + "; ".join(outcome.wrong)
    assert sorted(outcome.kills) == sorted([*SERVICES, "postgres", "kafka"])
    assert set(outcome.played) == set(PARTS)
