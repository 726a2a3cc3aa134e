"""A day at the ticket desk, with the rights of the desk and no more (section 4.3)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.flows.house import House, uah
from tests.flows.people import tickets_in
from tests.harness import eventually


@pytest.mark.shows("TKT-18", "TKT-19", "TKT-20", "TKT-21", "TKT-22", "TKT-23", "TKT-24", "ORD-56", "ROL-11")
async def test_bookings_and_orders_in_one_table_with_the_tools_for_them(house: House) -> None:
    desk, client = house.desk, house.person("Олена Шевченко", "+380671234567")
    booked, kept = await house.hold(client, "1-1"), await house.hold(client, "1-2")
    bought = await house.bought(client, "2-1", "2-2")
    await kept.becomes(stage="interested")
    await booked.becomes(stage="interested")
    table = {row["id"]: row for row in await house.orders(f"all=true&show_id={house.show['show_id']}")}
    assert {(id_, row["label"], row["quantity"]) for id_, row in table.items()} == {
        (booked.id, "Interested", 1),
        (kept.id, "Interested", 1),
        (bought.id, "Paid", 2),
    }
    assert {"open", "note", "cancel"} <= set(table[booked.id]["actions"])
    assert {"open", "note", "cancel", "refund"} <= set(table[bought.id]["actions"])
    card = await bought.card()
    assert [line["title"] for line in card["lines"]] == ["Партер, ряд 2, місце 1", "Партер, ряд 2, місце 2"]
    assert (card["total"], len(card["payments"]), len(card["documents"])) == (uah(50_000), 1, 1)

    path = f"/api/ticketing/holds/{kept.id}"
    booking = await desk.get(path)
    assert (booking["status"], booking["total"]) == ("active", uah(25_000))
    assert [seat["label"] for seat in booking["seats"]] == ["Партер, ряд 1, місце 2"]
    longer = await desk.post(f"{path}/extend", {"minutes": 180})
    gained = datetime.fromisoformat(longer["expires_at"]) - datetime.fromisoformat(booking["expires_at"])
    assert gained > timedelta(hours=2)
    assert (await desk.get(path))["extended"] is True

    await desk.must("DELETE", f"/api/ticketing/holds/{booked.id}")
    assert (await desk.get(f"/api/ticketing/holds/{booked.id}"))["status"] == "annulled"
    await house.hall_shows({"1-2": "held", "2-1": "sold", "2-2": "sold"})

    line = next(line["line_id"] for line in card["lines"] if line["reference"] == "2-1")
    await desk.post(f"{bought.path}/refunds", {"line_ids": [line], "reason": "захворіла"})
    await bought.becomes(payment_status="partially_refunded", refunded=uah(25_000))
    await house.hall_shows({"1-2": "held", "2-2": "sold"})
    await desk.post(f"{bought.path}/refunds", {"reason": "захворіла"})
    await bought.becomes(payment_status="money_refunded", refunded=uah(50_000))

    again = await house.bought(client, "1-5")
    await desk.post(f"/api/notifications/orders/{again.id}/resend")
    # Tickets and refunds are being mailed at the same time.
    await eventually(
        lambda: any(mail.subject.startswith("Замовлення ") for mail in house.platform.mail.to(client.email))
    )


@pytest.mark.shows("ORD-58", "NTF-10")
async def test_the_orders_data_are_sent_once_more(house: House) -> None:
    client, guest = house.person("Ольга Кобилянська"), house.person("Гість")
    order = await house.bought(client, "1-1", "1-2", holders={"1-2": guest})
    card = await order.card()
    (mail,) = await client.letters()
    (printed,) = tickets_in(mail)
    await guest.letters()
    await house.desk.post(f"/api/notifications/orders/{order.id}/resend")
    _, mail = await client.letters(2)
    assert mail.subject == f"Замовлення {card['number']}: Лісова пісня"
    said = mail.text.replace("\xa0", " ")
    assert "Партер, ряд 1, місце 1" in said
    assert "500,00" in said
    assert card["order_url"].partition("?")[0] in said
    assert client.name in printed
    assert len(house.platform.mail.to(guest.email)) == 1, "the buyer asked, nobody else is written to"
