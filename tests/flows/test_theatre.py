"""An organiser opens a theatre; buyers have no way in."""

from __future__ import annotations

import pytest

from tests.flows.house import House, uah
from tests.ticketing.plans import two_categories


@pytest.mark.shows("TKT-4", "ROL-10")
async def test_shows_are_made_and_their_sales_managed_in_the_back_office_alone(house: House) -> None:
    organizer, buyer = house.organizer, house.person("Глядач")
    await buyer.register()
    hall = await organizer.post("/api/ticketing/halls", {"plan": two_categories()})
    form = {"hall_id": hall["hall_id"], "name": "Мина Мазайло", "starts_at": "2094-05-01T16:00:00Z", "currency": "UAH"}
    show = await organizer.post("/api/ticketing/shows", form)
    path = f"/api/ticketing/shows/{show['show_id']}"
    zones = [{"name": "Партер", "price": uah(40_000), "categories": ["Партер"]}]
    await organizer.edit(path, {"price_zones": zones}, "/price-zones", "PUT")
    await organizer.post(f"{path}/start-sale")
    sold = await house.bought(buyer, "1-1", show=show)

    assert (await organizer.get(f"{path}/statistics"))["seats"]["sold"] == 1
    assert [one["hold_id"] for one in (await organizer.get(f"{path}/holds"))["items"]] == [sold.id]
    assert [row["id"] for row in (await organizer.get("/api/orders/orders"))["items"]] == [sold.id]
    await organizer.post(f"{sold.path}/refunds", {"reason": "помилка"})
    await sold.becomes(payment_status="money_refunded")
    assert (await organizer.post(f"{path}/stop-sale"))["status"] == "sales_stopped"

    doors: list[tuple[str, str, object]] = [
        ("POST", "/api/ticketing/halls", {"plan": two_categories()}),
        ("POST", "/api/ticketing/shows", form),
        ("PUT", f"{path}/price-zones", {"price_zones": zones}),
        ("POST", f"{path}/start-sale", None),
        ("POST", f"{path}/stop-sale", None),
        ("GET", f"{path}/statistics", None),
        ("GET", f"{path}/holds", None),
        ("GET", "/api/ticketing/registrations", None),
        ("GET", "/api/orders/orders", None),
        ("GET", "/api/orders/orders/totals", None),
        ("POST", f"{sold.path}/refunds", {"reason": "x"}),
        ("GET", "/api/crm/customers", None),
        ("GET", "/api/reporting/totals", None),
        ("GET", "/accounts", None),
    ]
    for method, door, body in doors:
        status, _ = await buyer.ask(method, door, body, if_match='"v1"')
        assert status == 403, (method, door)
