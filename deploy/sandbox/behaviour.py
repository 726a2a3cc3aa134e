"""How badly webhooks arrive, on demand: twice, late, out of order or never."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

REORDER_SECONDS = 2.0
"""An event held back for reordering leaves after the payment's next event, or after this long."""


class Behaviour(BaseModel):
    """Probabilities from 0 to 1. With a `seed` the n-th event always meets the same fate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duplicate: float = Field(default=0, ge=0, le=1, description="The event is sent twice, with the same webhook-id")
    lose: float = Field(default=0, ge=0, le=1, description="The event is never sent, and not retried either")
    reorder: float = Field(default=0, ge=0, le=1, description="The event leaves after the next one of its payment")
    late: float = Field(default=1, ge=0, le=1, description="The event is sent late, if delay_seconds is set")
    delay_seconds: float = Field(default=0, ge=0, le=24 * 3600, description="How late at most")
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """When each copy of an event is due, in seconds from now; no copies: it is lost."""

    delays: tuple[float, ...]
    held_back: bool = False


def decide_fate(behaviour: Behaviour, number: int) -> Fate:
    """What happens to the event with this `number`, counted from when the behaviour was set."""
    chance = random.Random(None if behaviour.seed is None else f"{behaviour.seed}:{number}")
    # Always four draws, so that changing one probability does not change the fate by another.
    lost, twice, reordered, late = (chance.random() < share for share in _shares(behaviour))
    if lost:
        return Fate(())
    first = chance.uniform(0, behaviour.delay_seconds) if late else 0.0
    if reordered:
        first = max(first, REORDER_SECONDS)
    delays = (first, first + chance.uniform(0, 0.5)) if twice else (first,)
    return Fate(delays, held_back=reordered)


def _shares(behaviour: Behaviour) -> tuple[float, float, float, float]:
    return behaviour.lose, behaviour.duplicate, behaviour.reorder, behaviour.late
