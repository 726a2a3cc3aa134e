"""An order by invoice, from the request to the tickets (section 1.11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.flows.house import House, uah
from tests.flows.people import Person, tickets_in
from tests.harness import eventually


@pytest.mark.shows("ORD-39", "ORD-111", "SET-1")
async def test_staff_switch_invoices_per_ticket(house: House) -> None:
    """A ticket of a show is a price zone; what the catalogue offers is one ticket itself."""
    client = house.person("Марія Заньковецька")
    path = f"/api/ticketing/shows/{house.show['show_id']}"
    zones = [
        {"name": "Партер", "price": uah(25_000), "categories": ["Партер"], "invoice_allowed": True},
        {"name": "Ложа", "price": uah(90_000), "seats": ["1-1", "1-2"], "invoice_allowed": False},
    ]
    await house.organizer.edit(path, {"price_zones": zones}, "/price-zones", "PUT")
    stalls, box, both = [await house.hold(client, *seats) for seats in (("2-1",), ("1-1",), ("1-2", "2-2"))]
    await stalls.check_out("invoice")
    for order in (box, both):
        refused = await client.ask("POST", f"{order.path}/checkout", order.checkout_form("invoice"))
        assert (refused[0], refused[1]["type"]) == (409, "/problems/invoice-not-offered")
        await order.check_out("card")

    await box.cancel()
    zones[1]["invoice_allowed"] = True
    await house.organizer.edit(path, {"price_zones": zones}, "/price-zones", "PUT")
    await house.hall_shows({"1-2": "held", "2-1": "held", "2-2": "held"})
    allowed = await house.hold(client, "1-1", "2-3")
    await allowed.check_out("invoice")
    await allowed.becomes(payment_method="invoice", stage="awaiting_payment")

    course = await house.offer("Вокал")
    form = {"order_id": house.new_id(), "customer": client.contact, "payment_method": "invoice"}
    refused = await client.ask("POST", f"/api/orders/offers/{course['offer_id']}/orders", form)
    assert (refused[0], refused[1]["type"]) == (409, "/problems/invoice-not-offered")
    await house.school.edit(f"/api/orders/offers/{course['offer_id']}", {"invoice_allowed": True})
    await house.ordered(client, course, "invoice")


@pytest.mark.shows("ORD-10", "ORD-51", "ORD-112", "ORD-113", "ORD-115", "NTF-1")
async def test_from_the_request_to_the_tickets(house: House) -> None:
    client, guest = house.person("Марія Заньковецька", "+380671234567"), house.person("Микола Садовський")
    order = await house.hold(client, "1-1", "1-2")
    placed = (await order.check_out("invoice", holders={"1-2": guest}))["order"]
    by_card = await house.hold(house.person("Хтось"), "2-1")
    await by_card.check_out("card")

    (text,) = await house.staff_texts()
    assert text.startswith(f"Замовлено рахунок: {placed['number']}, Лісова пісня")
    assert text.endswith("Марія Заньковецька, +380671234567")

    waiting = await house.orders("stage=awaiting_payment")
    assert {row["id"]: row["payment_method_label"] for row in waiting} == {
        order.id: "Payment by invoice",
        by_card.id: "Payment by card",
    }
    (row,) = await house.orders("stage=awaiting_payment&payment_method=invoice")
    card = await order.card()
    assert row["id"] == card["id"] == order.id
    assert {name: card["customer"][name] for name in client.contact} == client.contact
    assert (card["total"], card["payment_status"]) == (uah(50_000), "not_paid")

    await client.letters()  # the order is acknowledged
    await order.mark_paid()
    card = await order.ticketed()
    assert [payment["payment_system"] for payment in card["payments"]] == ["manual"]
    assert (card["paid"], card["payment_method_label"]) == (uah(50_000), "Payment by invoice")
    _, mail = await client.letters(2)
    assert "Марія Заньковецька" in tickets_in(mail)[0]
    (mail,) = await guest.letters()
    assert "Микола Садовський" in tickets_in(mail)[0]


@pytest.mark.shows("ORD-48", "NTF-3")
async def test_marked_paid_it_brings_all_tickets_now_and_reminders_later(house: House) -> None:
    client, guest = house.person("Марко Кропивницький"), house.person("Іван Карпенко-Карий")
    order = await house.hold(client, "1-1", "1-2")
    await order.check_out("invoice", holders={"1-2": guest})
    (row,) = await house.orders("stage=awaiting_payment")
    assert "mark-paid" in row["actions"]
    await client.letters()  # the order is acknowledged
    await order.mark_paid()
    await order.ticketed()
    _, mail = await client.letters(2)
    assert len(tickets_in(mail)) == len(tickets_in((await guest.letters())[0])) == 1
    waiting = await house.desk.get(f"/api/notifications/messages?order_id={order.id}&status=pending")
    assert {(one["template"], one["recipient"]) for one in waiting["items"]} == {
        ("show_reminder", client.email),
        ("show_reminder", guest.email),
    }
    a_day_before = datetime.fromisoformat(house.show["starts_at"]) - timedelta(hours=24)
    assert {datetime.fromisoformat(one["due_at"]) for one in waiting["items"]} == {a_day_before}

    # The show is moved to tomorrow, so the day before it has come.
    tomorrow = datetime.now(UTC) + timedelta(hours=23)
    path = f"/api/ticketing/shows/{house.show['show_id']}"
    await house.organizer.edit(path, {"starts_at": tomorrow.isoformat(), "confirm": True})
    for person, mails in ((client, 3), (guest, 2)):
        reminder = (await person.letters(mails))[-1]
        assert reminder.subject.startswith("Нагадування: Лісова пісня")


async def test_what_was_transferred_is_refunded_when_staff_have_sent_it(house: House) -> None:
    """Until then neither the buyer nor the reports are told that it is (ORD-57)."""
    client = house.person("Марія Заньковецька", "+380671234567")
    order = await house.hold(client, "1-1", "1-2")
    await order.check_out("invoice")
    await client.letters()  # the order is acknowledged
    await order.mark_paid()
    card = await order.ticketed()
    await client.letters(2)

    await house.desk.post(f"{order.path}/refunds", {"reason": "хвороба"})
    card = await order.becomes(refund_due=uah(50_000), stage="cancelled", payment_status="money_received")
    await eventually(lambda: len(house.texts()) == 2, timeout=30)
    asked = house.texts()[-1]
    assert asked.startswith(f"Треба повернути гроші: {card['number']}")
    assert "500" in asked
    await _agree(house, client, received=50_000, refunded=0)

    (refund,) = card["refunds"]
    await house.desk.post(f"{order.path}/refunds/{refund['refund_id']}/confirm", {"reference": "переказ 18"})
    await order.becomes(refund_due=uah(0), payment_status="money_refunded")
    told = (await client.letters(3))[-1]
    assert told.subject.startswith("Повернення")
    await _agree(house, client, received=50_000, refunded=50_000)
    assert (await house.desk.get("/api/orders/ledger"))["sum"] == 0


async def _agree(house: House, client: Person, *, received: int, refunded: int) -> None:
    """Reports and CRM know of a cancelled order, and of its money what orders know."""

    async def check() -> bool:
        totals = await house.desk.get("/api/reporting/totals")
        assert totals["by_stage"] == {"cancelled": 1}
        assert (totals["received"], totals["refunded"]) == ([uah(received)], [uah(refunded)])
        (found,) = (await house.desk.get(f"/api/crm/customers?search={client.email}"))["items"]
        known = await house.desk.get(f"/api/crm/customers/{found['customer_id']}")
        assert [(one["stage"], one["paid"], one["refunded"]) for one in known["orders"]] == [
            ("cancelled", uah(received), uah(refunded))
        ]
        return True

    await eventually(check, timeout=30)
