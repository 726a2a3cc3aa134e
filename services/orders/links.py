"""Signed links that open an order without an account, and the key in them."""

from __future__ import annotations

from uuid import UUID

from chassis.links import Link, Links
from services.orders.settings import Settings

ORDER = "order"
TTL_SECONDS = 400 * 24 * 3600.0
"""Longer than the longest season: a link in an old e-mail still opens its order."""


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


def public(path: str) -> str:
    """An address of this service as the outside world reaches it, through the gateway."""
    return f"{_Configured.public_url}/api/orders{path}"
