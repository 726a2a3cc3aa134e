"""Signed links that open an order without an account, and the key in them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from chassis.links import Link, Links
from services.orders.settings import Settings

ORDER = "order"
RETURN = "return"
TTL_SECONDS = 400 * 24 * 3600.0
"""Longer than the longest season: a link in an old e-mail still opens its order."""

RETURN_SECONDS = 2 * 24 * 3600.0
"""Longer than any card page stays open."""


class _Configured:
    """One per process: the events of an order carry its link wherever they are built."""

    links: Links | None = None
    public_url: str = ""


def configure(settings: Settings) -> None:
    _Configured.links = Links(settings.link_secret)
    _Configured.public_url = settings.public_url.rstrip("/")


def _links() -> Links:
    if _Configured.links is None:
        raise RuntimeError("the secret of signed links is not configured")
    return _Configured.links


def order_key(order_id: UUID, organisation: UUID) -> str:
    return _links().sign(ORDER, order_id, organisation, ttl_seconds=TTL_SECONDS)


def verify(key: str) -> Link:
    """Raises `Unauthorised`."""
    return _links().verify(ORDER, key)


def order_url(order_id: UUID, organisation: UUID) -> str:
    return public(f"/orders/{order_id}?key={order_key(order_id, organisation)}")


def return_url(payment_id: UUID, organisation: UUID, since: datetime) -> str:
    """Where a card page sends the buyer back. The same for a payment however often it is started."""
    key = _links().sign(RETURN, payment_id, organisation, ttl_seconds=RETURN_SECONDS, since=since)
    return public(f"/payments/{payment_id}/return?key={key}")


def verify_return(key: str) -> Link:
    """Raises `Unauthorised`."""
    return _links().verify(RETURN, key)


def public(path: str) -> str:
    """An address of this service as the outside world reaches it, through the gateway."""
    return f"{_Configured.public_url}/api/orders{path}"
