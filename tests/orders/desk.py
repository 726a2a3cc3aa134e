"""Orders as staff and buyers make them, and the table as staff list it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.orders.stage import Stage


async def placed(stage: Stage, **more: Any) -> str:
    customer = more.pop("customer", None)
    hold = stage.ticketing.hold(stage.organisation, **more)
    answer = await stage.checkout(hold, **({"customer": customer} if customer else {}))
    assert answer.status == 201, answer
    return str(hold.hold_id)


async def entered_by_staff(stage: Stage, name: str) -> tuple[str, str]:
    """A course, and an order of it that staff entered."""
    course = {
        "kind": "course",
        "sku": uuid4().hex[:8],
        "name": "Режисура",
        "price": {"minor": 9_900, "currency": "UAH"},
    }
    offer: str = (await stage.staff("POST", "/offers", json=course)).json["offer_id"]
    customer = {"last_name": name, "email": f"{uuid4().hex[:8]}@example.com"}
    answer = await stage.staff("POST", "/orders", json={"offer_id": offer, "customer": customer})
    assert answer.status == 201, answer
    return offer, answer.json["id"]


async def listed(stage: Stage, query: str = "") -> list[dict[str, Any]]:
    answer = await stage.staff("GET", f"/orders{query}")
    assert answer.status == 200, answer
    return answer.json["items"]  # type: ignore[no-any-return]
