"""One order for seats of two shows, a course and goods; and shows that are stopped or moved while somebody chooses."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.flows.house import A_MARCH, House, uah


@pytest.mark.shows("ORD-29", "ORD-57", "REG-9", "REG-10")
async def test_two_shows_a_course_and_two_books_in_one_order(house: House) -> None:
    client, guest = house.person("Леся Українка"), house.person("Олена Пчілка")
    other = await house.put_on("Камінний господар")
    first, second = await house.hold(client, "1-1", "1-2"), await house.hold(client, "1-1", show=other)
    course, book = await house.offer("Режисура"), await house.offer("Книга", "goods", price=uah(19_999))
    books = {"offer_id": book["offer_id"], "quantity": 2, "unit_price": uah(19_999)}
    form = {
        "quotes": [first.hold["quote"], second.hold["quote"]],
        "items": [{"offer_id": course["offer_id"]}, books],
        "customer": client.contact,
        "participants": [{"seat": "1-1", "hold_id": second.id, **guest.contact}],
        "locale": "uk",
    }
    dearer = {**form, "items": [{**books, "unit_price": uah(15_000)}]}
    status, answer = await client.ask("POST", f"{first.path}/checkout", dearer)
    assert (status, answer["unit_price"]) == (409, uah(19_999))

    order = first
    started = order.started(await client.post(f"{order.path}/checkout", form))
    assert started["order"]["total"] == uah(3 * 25_000 + 150_000 + 2 * 19_999)
    await order.pay()
    card = await order.ticketed()
    assert [line["kind"] for line in card["lines"]] == ["seat", "seat", "seat", "course", "goods"]
    await house.hall_shows({"1-1": "sold", "1-2": "sold"})
    await house.hall_shows({"1-1": "sold"}, other)
    assert [row["id"] for row in await house.orders("all=true")] == [order.id]
    subjects = sorted(mail.subject for mail in await client.letters(2))
    assert len(subjects) == 2, "the tickets, and the way into the course"
    (ticket,) = await guest.letters(1)
    assert "Камінний господар" in ticket.subject

    # One of the two books, and the ticket of the guest, who hears of it.
    one = {"line_id": card["lines"][-1]["line_id"], "quantity": 1}
    await house.desk.post(f"{order.path}/refunds", {"lines": [one], "reason": "порвана"})
    card = await order.becomes(refunded=uah(19_999), stage="paid", payment_status="partially_refunded")
    assert (card["lines"][-1]["returned"], card["lines"][-1]["state"]) == (1, "live")
    await house.desk.post(
        f"{order.path}/refunds", {"lines": [{"line_id": card["lines"][2]["line_id"]}], "reason": "захворіла"}
    )
    await order.becomes(refunded=uah(19_999 + 25_000), stage="paid")
    await house.hall_shows({}, other)
    await house.hall_shows({"1-1": "sold", "1-2": "sold"})
    void = (await guest.letters(2))[-1]
    assert void.subject == "Ваш квиток скасовано: Камінний господар"
    assert str(card["number"]) not in void.text, "the order lives"

    await order.cancel()
    await order.becomes(payment_status="money_refunded", stage="cancelled")
    await house.hall_shows({})
    ledger = await house.desk.get("/api/orders/ledger")
    assert {row["balance"]["minor"] for row in ledger["balances"]} == {0}


@pytest.mark.shows("TKT-25")
async def test_nobody_orders_after_the_sale_was_stopped(house: House) -> None:
    client, quick = house.person("Панас"), house.person("Швидка")
    order, placed = await house.hold(client, "1-1"), await house.hold(quick, "1-2")
    await placed.check_out()
    show = f"/api/ticketing/shows/{house.show['show_id']}"
    await house.organizer.post(f"{show}/stop-sale")
    # Orders is told of the show in turn: where its new name is known, so is what was before.
    await house.organizer.edit(show, {"name": "Лісова пісня. Останній показ"})
    await placed.becomes(title="Лісова пісня. Останній показ")

    status, answer = await client.ask("POST", f"{order.path}/checkout", order.checkout_form())
    assert (status, answer["type"].rsplit("/", 1)[-1]) == (409, "show-not-on-sale"), answer
    await placed.pay()
    await placed.ticketed()


@pytest.mark.shows("TKT-25")
async def test_a_show_that_is_moved_meanwhile_asks_for_the_new_date(house: House) -> None:
    client, early = house.person("Панас"), house.person("Рання")
    order, bought = await house.hold(client, "1-1"), await house.bought(early, "1-2")
    moved = {"starts_at": (A_MARCH + timedelta(days=1)).isoformat(), "name": "Лісова пісня (перенесено)"}
    await house.organizer.edit(f"/api/ticketing/shows/{house.show['show_id']}", {**moved, "confirm": True})
    card = await bought.becomes(title=moved["name"])
    assert datetime.fromisoformat(card["starts_at"]) == A_MARCH + timedelta(days=1)

    form = order.checkout_form()
    status, answer = await client.ask("POST", f"{order.path}/checkout", form)
    assert (status, answer["type"].rsplit("/", 1)[-1]) == (409, "show-moved"), answer
    await client.post(f"{order.path}/checkout", {**form, "dates_seen": {answer["show_id"]: answer["starts_at"]}})
    await order.becomes(stage="awaiting_payment", title=moved["name"])
