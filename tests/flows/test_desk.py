"""What the ticket desk sells, through the gateway: the people it serves stay who they are."""

from __future__ import annotations

from typing import Any

from uuid_utils.compat import uuid7

from contracts.accounts import Role
from tests.flows.stage import EVERY_ROLE, Stage
from tests.harness import eventually
from tests.ticketing.plans import plan


async def test_two_people_served_by_one_clerk_are_two_customers(platform: Stage) -> None:
    organisation = await platform.organisation("window")
    head = await platform.key("head@window.example", organisation, *EVERY_ROLE)
    clerk = await platform.key("clerk@window.example", organisation, Role.TICKET_DESK)
    hall = await platform.must("POST", "/api/ticketing/halls", {"plan": plan()}, key=head)
    price = {"minor": 25_000, "currency": "UAH"}
    zones = [{"name": one["name"], "price": price, "categories": [one["name"]]} for one in hall["categories"]]
    body = {
        "hall_id": hall["hall_id"],
        "name": "Лісова пісня",
        "starts_at": "2094-03-08T17:00:00Z",
        "currency": "UAH",
        "invoice_allowed": True,
        "price_zones": zones,
    }
    show = (await platform.must("POST", "/api/ticketing/shows", body, key=head))["show_id"]
    await platform.must("POST", f"/api/ticketing/shows/{show}/start-sale", key=head)

    people = {"1-1": ("Олена", "olena@example.com"), "1-2": ("Іван", "ivan@example.com")}
    for seat, (name, email) in people.items():
        hold = str(uuid7())
        asked = {"hold_id": hold, "seats": [seat]}
        held = await platform.must("POST", f"/api/ticketing/shows/{show}/holds", asked, key=clerk)

        async def interested(hold: str = hold) -> Any:
            return (await platform.ask("GET", f"/api/orders/orders/{hold}", key=head))[0] == 200

        # For people, the hold's event is there before they have spelled their name.
        await eventually(interested, timeout=40)
        bought = {
            "quote": held["quote"],
            "customer": {"name": name, "email": email},
            "payment_method": "invoice",
            "locale": "uk",
        }
        await platform.must("POST", f"/api/orders/orders/{hold}/checkout", bought, key=clerk)

    async def known() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await platform.must("GET", "/api/crm/customers", key=head))["items"]
        assert {email for one in listed for email in one["emails"]} == {email for _, email in people.values()}
        return listed

    customers = await eventually(known, timeout=40)
    assert sorted(one["name"] for one in customers) == ["Іван", "Олена"]
    assert (await platform.must("GET", "/api/orders/my-orders", key=clerk))["items"] == []
