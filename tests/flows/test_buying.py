"""Buyers on their way from a show to their tickets, and what staff see of it meanwhile."""

from __future__ import annotations

import pytest

from tests.flows.house import CARD, House, uah
from tests.flows.people import tickets_in


@pytest.mark.shows("ORD-6", "ORD-27", "ORD-28", "ORD-30", "ORD-35", "ORD-88", "ORD-94", "ORD-108")
async def test_staff_follow_a_client_from_interest_to_payment(house: House) -> None:
    client = house.person("Олена Шевченко", "+380671234567")
    await client.register()
    looked, bought = await house.hold(client, "1-1"), await house.hold(client, "1-2", "1-3")
    who = {**client.contact, "registered": client.contact}
    for order in (looked, bought):
        card = await order.becomes(stage="interested", payment_status="not_paid", customer=who)
        assert card["created_at"]

    await bought.check_out()
    card = await bought.becomes(stage="awaiting_payment", payment_status="not_paid")
    assert (card["paid"], card["paid_at"]) == (uah(0), None)
    await bought.pay()
    card = await bought.ticketed()
    assert (card["payment_status"], card["paid"]) == ("money_received", uah(50_000))
    assert card["paid_at"] > card["placed_at"] > card["created_at"]
    (mail,) = await client.letters()
    assert len(tickets_in(mail)) == 2

    at_once = await house.orders(f"all=true&customer={client.email}&sort=status")
    assert [(row["id"], row["stage"]) for row in at_once] == [(looked.id, "interested"), (bought.id, "paid")]
    assert await bought.history() == [
        "interested", "placed", "payment_started", "payment_received", "paid", "confirmed",
    ]  # fmt: skip
    assert await looked.history() == ["interested"], "here the client stopped"


@pytest.mark.shows("ORD-29", "ORD-38")
async def test_the_way_to_buy_leads_to_the_card_page_or_to_waiting_for_a_call(house: House) -> None:
    client = house.person("Тарас Мельник", "+380501112233")
    (offered,) = (await client.get(f"/api/ticketing/shows?organisation={house.organisation}"))["items"]
    assert (offered["show_id"], offered["status"]) == (house.show["show_id"], "on_sale")
    await client.register()
    client.headers = {}
    await client.sign_in()
    plan = await client.get(f"/api/ticketing/shows/{offered['show_id']}/plan")
    first, second = (seat["seat_guid"] for seat in plan["zones"][0]["rows"][0]["seats"][:2])

    by_card = await house.hold(client, first)
    await by_card.check_out("card")
    await by_card.becomes(stage="awaiting_payment", payment_method="card")
    async with house.platform.http.get(by_card.card_page) as page:
        assert page.status == 200
        assert '<input id="number"' in await page.text()
    assert house.texts() == []

    by_invoice = await house.hold(client, second)
    answer = await by_invoice.check_out("invoice")
    assert answer["payment"] is None
    await by_invoice.becomes(stage="awaiting_payment", payment_method="invoice")
    (told,) = await client.letters()
    assert "ми зв’яжемося з вами" in told.text
    (text,) = await house.staff_texts()
    assert text.startswith(f"Замовлено рахунок: {answer['order']['number']}, Лісова пісня")


@pytest.mark.shows("ORD-4", "REG-9", "NTF-2", "DOC-1")
async def test_tickets_for_oneself_for_several_and_for_another_person(house: House) -> None:
    buyer, friend, aunt = (house.person(name) for name in ("Ївга Їжакевич", "Łucja Żółć-Gęśla", "Мелашка"))
    child = house.person("Мала")
    child.email = ""
    together = await house.bought(buyer, "1-1", "1-2", "1-3", holders={"1-2": friend, "1-3": child})
    present = await house.bought(buyer, "2-1", holders={"2-1": aunt})

    numbers = {ticket["holder"]["name"]: ticket["number"] for ticket in await together.tickets()}
    (own,) = await buyer.letters()
    printed = tickets_in(own)
    assert len(printed) == 2, "the child has no address: its ticket comes with the buyer's"
    for holder, page in zip(("Ївга Їжакевич", "Мала"), printed, strict=True):
        assert holder in page
        assert f"№ {numbers[holder]}" in page
        assert f"Квиток {numbers[holder]}" in own.text
    (mail,) = await friend.letters()
    (page,) = tickets_in(mail)
    assert "Łucja Żółć-Gęśla" in page
    assert f"№ {numbers['Łucja Żółć-Gęśla']}" in page

    (mail,) = await aunt.letters()
    (page,) = tickets_in(mail)
    (ticket,) = await present.tickets()
    assert "Мелашка" in page
    assert f"№ {ticket['number']}" in page


@pytest.mark.shows("TKT-15")
async def test_seats_are_booked_for_a_while_or_bought_at_once(house: House) -> None:
    show = await house.put_on("Кайдаші", hold_seconds=2)
    undecided, quick = house.person("Мавка"), house.person("Лукаш")
    booking = await house.hold(undecided, "1-1", show=show)
    path = f"/api/ticketing/shows/{show['show_id']}/holds"
    status, refused = await quick.ask("POST", path, {"hold_id": house.new_id(), "seats": ["1-1"]})
    assert (status, refused["type"], refused["seats"]) == (409, "/problems/seats-taken", ["1-1"])

    await house.bought(quick, "1-2", show=show)
    await quick.letters()
    await house.hall_shows({"1-2": "sold"}, show)
    late, answer = await undecided.ask("POST", f"{booking.path}/checkout", booking.checkout_form())
    assert (late, answer["type"]) in {(409, "/problems/hold-over"), (422, "/problems/bad-quote")}
    await house.bought(quick, "1-1", show=show)


@pytest.mark.shows("ROL-1")
async def test_what_a_customer_may_do(house: House) -> None:
    customer, guest = house.person("Панас Мирний"), house.person("Гість")
    await customer.register()
    course = await house.offer("Режисура")
    for wanted in ("wishlist", "watching_price"):
        await customer.post(f"/api/orders/offers/{course['offer_id']}/wishes", {"stage": wanted})
    by_card = await house.bought(customer, "1-1", "1-2", holders={"1-2": guest})
    for_another = await house.hold(customer, "2-1")
    await for_another.check_out("invoice", holders={"2-1": guest})
    await for_another.becomes(stage="awaiting_payment", payment_method="invoice")

    mine = (await customer.get("/api/orders/my-orders"))["items"]
    assert [(row["stage"], row["payment_method"]) for row in mine] == [
        ("awaiting_payment", "invoice"),
        ("paid", "card"),
        ("watching_price", None),
        ("wishlist", None),
    ]
    assert {row["id"] for row in mine} > {by_card.id, for_another.id}


async def test_a_card_that_is_declined_pays_nothing(house: House) -> None:
    buyer = house.person("Хома")
    order = await house.hold(buyer, "1-1")
    await order.check_out()
    declined = CARD | {"number": "4000 0000 0000 0002"}
    async with house.platform.http.post(order.card_page, data=declined, allow_redirects=False) as answer:
        assert answer.status == 402
    await order.becomes(stage="awaiting_payment", payment_status="not_paid")
    await order.pay()
    await order.ticketed()
