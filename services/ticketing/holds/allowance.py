"""How many seats one buyer may hold at once, so that nobody empties a hall without buying.

A buyer is counted by the network that the gateway names (an IPv4 address or an IPv6 /64), and by the account as well
when its address is proven: accounts that anybody can make are no persons. Both count, in one show and in all together.
The statement that takes seats counts them, so all processes share the limits. The ticket desk has none, nor has this
machine in development.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chassis.edge import Caller
from services.ticketing.settings import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """Seats in one show, and in all; 0 is no limit."""

    buyer: tuple[int, int] = (0, 0)
    network: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            (settings.buyer_max_seats, settings.buyer_max_seats_together),
            (settings.address_max_seats, settings.address_max_seats_together),
        )


UNLIMITED = Limits()


def counted(caller: Caller, *, production: bool) -> tuple[UUID | None, str | None]:
    """The account and the network whose seats are counted."""
    network = caller.network
    if network is not None and not production and network.startswith(("127.", "::")):
        return None, None
    return caller.account_id if caller.is_verified else None, network
