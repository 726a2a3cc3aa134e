"""How long and how much one client may take of a server's connections. All of it are settings of the service."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from chassis.networks import Networks, client_address, network_of
from chassis.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds; 0 turns a limit of `connections` or `unfinished` off."""

    head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    body_bytes_per_second: float = 1000.0
    body_window_seconds: float = 15.0
    body_seconds: float = 1800.0
    send_seconds: float = 60.0
    connections: int = 0
    unfinished: int = 0


@dataclass(slots=True)
class Clients:
    """What each client has open in this process. An IPv4 address is one client, and so is an IPv6 /64."""

    limits: Limits = field(default_factory=Limits)
    proxies: Networks = field(default_factory=lambda: Networks(""))
    """Speak for others: any number of connections, and unfinished requests count for whom they name."""
    exempt: Networks = field(default_factory=lambda: Networks(""))
    """May have any number of connections."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops, for streams that would go on."""
    connections: Counter[str] = field(default_factory=Counter)
    unfinished: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, settings: ServiceSettings) -> Clients:
        limits = Limits(
            head_bytes=settings.head_bytes,
            head_seconds=settings.head_seconds,
            body_bytes_per_second=settings.body_bytes_per_second,
            body_window_seconds=settings.body_window_seconds,
            body_seconds=settings.body_seconds,
            send_seconds=settings.send_seconds,
            connections=settings.client_connections,
            unfinished=settings.client_unfinished,
        )
        return cls(limits, Networks(settings.trusted_proxies), Networks(settings.exempt_networks))

    def connect(self, peer: str) -> str | None:
        """The client whose connection this is, or None if nobody counts it. Raises `TooMany`."""
        if not self.limits.connections or peer in self.proxies or peer in self.exempt:
            return None
        return _add(self.connections, network_of(peer), self.limits.connections)

    def begin(self, peer: str, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The client that has not finished a request. Raises `TooMany`."""
        if not self.limits.unfinished:
            return None
        if peer in self.proxies:
            forwarded = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
            if not forwarded:
                return None
            peer = client_address(peer, ",".join(forwarded), self.proxies)
        return _add(self.unfinished, network_of(peer), self.limits.unfinished)


class TooMany(Exception):
    """The client has as many as it may have."""


def _add(counted: Counter[str], client: str, most: int) -> str:
    if counted[client] >= most:
        raise TooMany(client)
    counted[client] += 1
    return client


def give_back(counted: Counter[str], client: str | None) -> None:
    if client is not None:
        counted[client] -= 1
        if counted[client] <= 0:
            del counted[client]
