"""Staff look after the people who bought something (section 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.house import House
from tests.flows.people import Person
from tests.harness import eventually


async def found(house: House, search: str, orders: int = 1) -> dict[str, Any]:
    """The one customer that matches, once this many orders are known."""

    async def check() -> dict[str, Any]:
        items = (await house.desk.get(f"/api/crm/customers?search={search}"))["items"]
        assert [item["orders"] for item in items] == [orders]
        return items[0]  # type: ignore[no-any-return]

    return await eventually(check, timeout=30)


@pytest.mark.shows("CUS-1", "CUS-4", "CUS-8")
async def test_customers_come_with_their_orders_and_are_managed(house: House) -> None:
    buyer, other = house.person("Олена", "+380671234567"), house.person("Петро")
    await house.bought(buyer, "1-1")
    await house.bought(other, "1-2")
    customer = await found(house, buyer.email)
    await found(house, other.email)
    everybody = (await house.desk.get("/api/crm/customers"))["items"]
    assert {item["name"] for item in everybody} == {"Олена", "Петро"}

    path = f"/api/crm/customers/{customer['customer_id']}"
    change = {"name": "Олена Шевченко", "date_of_birth": "1990-02-25", "locality": "Канів", "address": "вул. Гори, 1"}
    card = await house.desk.edit(path, change)
    assert {name: card[name] for name in change} == change
    card = await house.desk.edit(path, {"name": "Олена Ш."})
    assert (card["name"], card["locality"]) == ("Олена Ш.", "Канів")

    card = await house.desk.edit(path, {"reason": "не платить"}, part="/blacklist", method="PUT")
    assert (card["blacklisted"], card["blacklist_reason"]) == (True, "не платить")
    listed = (await house.desk.get("/api/crm/customers?blacklisted=true"))["items"]
    assert [item["name"] for item in listed] == ["Олена Ш."]


@pytest.mark.shows("CUS-3", "CUS-5")
async def test_who_fills_in_an_order_finds_the_customer_or_types_a_new_one(house: House) -> None:
    goods = await house.offer("Програмка", kind="goods")
    newcomer = house.person("Тарас Шевченко", "+380501112233")
    await house.entered(newcomer, goods)
    for search in ("Шевченко Тарас", "(050) 111-22-33", newcomer.email):
        known = await found(house, search)
        assert (known["name"], known["emails"], known["phones"]) == (
            newcomer.name,
            [newcomer.email],
            [newcomer.phone],
        )
    again = Person(house.platform, known["name"], known["emails"][0], known["phones"][0])
    await house.entered(again, goods)
    customer = await found(house, newcomer.email, orders=2)
    assert customer["customer_id"] == known["customer_id"]
