"""Token buckets, one for each key, in the memory of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic


class Buckets:
    """Buckets that hold `burst` and are refilled by `rate` a second. The least recently used are forgotten."""

    def __init__(
        self, rate: float, burst: float, *, keep: int = 100_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self.rate = rate
        self.burst = burst
        self._keep = keep
        self._clock = clock
        self._levels: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object, amount: float = 1.0) -> float:
        """Takes from the bucket. Returns 0, or how many seconds until there is enough."""
        level, now = self._level(key)
        wait = 0.0
        if level >= amount:
            level -= amount
        else:
            wait = (amount - level) / self.rate
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._keep:
            self._levels.popitem(last=False)
        return wait

    def wait(self, key: object, amount: float = 1.0) -> float:
        """How many seconds until so much could be taken; takes nothing."""
        level, _ = self._level(key)
        return max(0.0, (amount - level) / self.rate)

    def give(self, key: object, amount: float = 1.0) -> None:
        level, now = self._level(key)
        self._levels[key] = (min(self.burst, level + amount), now)

    def refill(self, key: object) -> None:
        self._levels.pop(key, None)

    def _level(self, key: object) -> tuple[float, float]:
        now = self._clock()
        level, before = self._levels.get(key, (self.burst, now))
        return min(self.burst, level + (now - before) * self.rate), now
