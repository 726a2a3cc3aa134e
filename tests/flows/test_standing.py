"""Standing room beside seats, and the best seats together, from the hold to the refund of one place."""

from __future__ import annotations

from tests.flows.house import House, Order, uah
from tests.flows.people import tickets_in
from tests.harness import eventually

FARES = [
    {"fare": "adult", "name": "Дорослий", "price": uah(40_000)},
    {"fare": "child", "name": "Дитячий", "price": uah(10_000)},
]
ZONES = [
    {"name": "Партер", "price": uah(25_000), "categories": ["Партер"]},
    {"name": "Танцпол", "fares": FARES, "areas": [{"name": "Стоячі місця", "capacity": 5}]},
]


async def test_a_family_stands_and_grandmother_sits(house: House) -> None:
    show = await house.put_on("Концерт", price_zones=ZONES)
    area = show["price_zones"][1]["areas"][0]["area_id"]
    client = house.person("Олена Шевченко", "+380671234567")
    order = Order(house, client, house.new_id())
    items = [
        {"item": "1-1"},
        {"item": area, "quantity": 2},
        {"item": area, "fare": "child", "quantity": 2},
    ]
    order.hold = await client.post(
        f"/api/ticketing/shows/{show['show_id']}/holds", {"hold_id": order.id, "items": items}
    )
    assert order.hold["total"] == uah(25_000 + 2 * 40_000 + 2 * 10_000)
    await order.check_out()
    await order.pay()
    card = await order.ticketed()
    assert card["total"] == order.hold["total"]
    assert {(line["kind"], line["quantity"]) for line in card["lines"]} == {("seat", 1), ("place", 2)}

    async def issued() -> bool:
        return len(await order.tickets()) == 5

    await eventually(issued, timeout=30)
    tickets = await order.tickets()
    assert len({ticket["number"] for ticket in tickets}) == len({ticket["code"] for ticket in tickets}) == 5
    assert sorted(ticket["label"] for ticket in tickets) == ["Партер, ряд 1, місце 1", *["Стоячі місця"] * 4]
    (mail,) = await client.letters()
    assert len(tickets_in(mail)) == 5
    await left(house, show, 1)

    children = next(line for line in card["lines"] if line["fare"] == "child")
    one = {"line_id": children["line_id"], "quantity": 1}
    await house.desk.post(f"{order.path}/refunds", {"lines": [one], "reason": "захворів"})
    await order.becomes(payment_status="partially_refunded", refunded=uah(10_000))
    await left(house, show, 2)
    void = [ticket["fare"] for ticket in await order.tickets() if ticket["voided_at"]]
    assert void == ["child"]


async def left(house: House, show: dict[str, object], places: int) -> None:
    async def check() -> bool:
        seats = await house.platform.must("GET", f"/api/ticketing/shows/{show['show_id']}/seats")
        assert seats["areas"][0]["left"] == places
        return True

    await eventually(check, timeout=30)


async def test_the_best_seats_together_are_bought(house: House) -> None:
    client = house.person("Тарас Мельник", "+380501112233")
    order = Order(house, client, house.new_id())
    path = f"/api/ticketing/shows/{house.show['show_id']}/holds"
    order.hold = await client.post(path, {"hold_id": order.id, "best": {"quantity": 3}})
    seats = [seat["seat"] for seat in order.hold["seats"]]
    assert seats == ["1-4", "1-5", "1-6"]
    await order.check_out()
    await order.pay()
    await order.ticketed()
    await house.hall_shows(dict.fromkeys(seats, "sold"))
