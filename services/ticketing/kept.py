"""What is kept in memory because it is dear to make: the last used, up to a size and not a number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar
from uuid import UUID

T = TypeVar("T")


class Kept(Generic[T]):
    """Things by id. The one used longest ago goes when all together weigh more than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._things: OrderedDict[UUID, tuple[T, int]] = OrderedDict()

    def get(self, key: UUID) -> T | None:
        found = self._things.get(key)
        if found is None:
            return None
        self._things.move_to_end(key)
        return found[0]

    def keep(self, key: UUID, thing: T, weight: int) -> None:
        self.forget(key)
        self._things[key] = thing, weight
        self._weight += weight
        while self._weight > self._most and len(self._things) > 1:
            self.forget(next(iter(self._things)))

    def forget(self, key: UUID) -> None:
        _, weight = self._things.pop(key, (None, 0))
        self._weight -= weight

    def __contains__(self, key: object) -> bool:
        return key in self._things

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
