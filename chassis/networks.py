"""Addresses of clients: which networks are meant, what counts as one client, and whom a proxy speaks for."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


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
