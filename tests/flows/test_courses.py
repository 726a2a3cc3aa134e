"""A school sells courses: students, groups, and the way in."""

from __future__ import annotations

import re

import pytest

from tests.flows.house import House, uah


@pytest.mark.shows("ORD-34", "ORD-49", "ORD-50", "REG-12", "NTF-9", "ROL-5")
@pytest.mark.parametrize("paid_by", ["staff", "client"])
async def test_who_paid_for_a_course_becomes_a_student_and_gets_the_way_in(house: House, paid_by: str) -> None:
    client = house.person("Лесь Курбас", "+380671234567")
    course = await house.offer("Режисура", group="Осінь 2026")
    order = await house.ordered(client, course) if paid_by == "client" else await house.entered(client, course)
    assert (await order.card())["label"] == "New"
    await (order.pay() if paid_by == "client" else order.mark_paid())
    card = await order.becomes(payment_status="money_received")
    assert (card["label"], card["colour"]) == ("Paid", "green")

    for narrowed in (f"offer_id={course['offer_id']}", "group=Осінь 2026"):
        (student,) = (await house.school.get(f"/api/orders/enrolments?{narrowed}"))["items"]
        assert {name: student[name] for name in client.contact} == client.contact
        assert (student["course"], student["group"]) == ("Режисура", "Осінь 2026")

    (mail,) = await client.letters()
    assert mail.subject == "Доступ до курсу «Режисура»"
    assert f"Ім’я для входу: {client.email}" in mail.text
    way_in = re.search(r"http://\S+/learn/\S+", mail.text)
    assert way_in is not None
    async with house.platform.http.get(way_in[0]) as answer:
        inside = await answer.json()
    assert (inside["course"], inside["student"], inside["group"]) == ("Режисура", "Лесь Курбас", "Осінь 2026")

    await house.school.post(f"{order.path}/refunds", {})
    card = await order.becomes(stage="cancelled")
    if paid_by == "staff":
        # Money that came by hand is sent back by hand.
        await house.school.post(f"{order.path}/refunds/{card['refunds'][0]['refund_id']}/confirm", {})
    await order.becomes(payment_status="money_refunded")
    async with house.platform.http.get(way_in[0]) as answer:
        assert answer.status == 404, "the course was given back"


@pytest.mark.shows("ORD-31", "ORD-32", "NTF-6")
@pytest.mark.parametrize(("stage", "label"), [("wishlist", "Wish list"), ("watching_price", "Watching the price")])
async def test_a_wish_is_recorded_and_nobody_is_written_to(house: House, stage: str, label: str) -> None:
    client = house.person("Олена Теліга")
    course = await house.offer("Вокал", price=uah(90_000))
    path = f"/api/orders/offers/{course['offer_id']}/wishes"
    assert (await client.ask("POST", path, {"stage": stage}))[0] == 401
    await client.register()
    for _ in range(2):
        await client.post(path, {"stage": stage})
    (row,) = await house.orders(f"stage={stage}")
    assert (row["label"], row["title"], row["customer"]["name"]) == (label, "Вокал", "Олена Теліга")
    assert await house.as_order(client, row["id"]).told_so_far() == []
    assert house.texts() == []
