"""How often a client may ask: a token bucket per key, in the memory of this process.

With n gateways the limit is n times as high; it protects the services, it does not bill anybody.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
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


class Networks:
    """A set of IP networks, with the answers remembered."""

    def __init__(self, text: str) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()
        ]
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) > 10_000:
                self._known.clear()
            known = self._known[address] = self._holds(address)
        return known

    def _holds(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address, of which one customer has them all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))


def client_address(peer: str, forwarded_for: str | None, trusted: Networks) -> str:
    """The client's address: the last one in X-Forwarded-For that is not a proxy of ours, else the peer itself."""
    if forwarded_for is None or peer not in trusted:
        return peer
    address = peer
    for hop in reversed(forwarded_for.split(",")):
        hop = hop.strip()
        try:
            ip_address(hop)
        except ValueError:
            break
        address = hop
        if hop not in trusted:
            break
    return address
