"""Orders that are cancelled or refunded: what becomes of seats, tickets and money, and who is told."""

from __future__ import annotations

import pytest

from tests.flows.house import House, uah


@pytest.mark.shows("ORD-52", "NTF-5")
@pytest.mark.parametrize("method", ["card", "invoice"])
async def test_an_unpaid_order_lets_its_seats_go_in_silence(house: House, method: str) -> None:
    client, guest = house.person("Олена Пчілка"), house.person("Михайло")
    order = await house.hold(client, "1-1", "1-2")
    await order.check_out(method, holders={"1-2": guest})
    await house.hall_shows({"1-1": "held", "1-2": "held"})
    (row,) = await house.orders("stage=awaiting_payment")
    assert "cancel" in row["actions"]

    cancelled = await order.cancel()
    assert (cancelled["stage"], cancelled["cancelled_from"]) == ("cancelled", "awaiting_payment")
    await house.hall_shows({})
    told = await order.told_so_far()
    assert "order_cancelled" not in told
    written = [mail.subject for person in (client, guest) for mail in house.platform.mail.to(person.email)]
    assert not [subject for subject in written if "скасовано" in subject]


@pytest.mark.shows("ORD-53", "ORD-109", "NTF-4", "REG-10")
async def test_a_paid_order_voids_its_tickets_and_tells_each_participant(house: House) -> None:
    client, guest = house.person("Олена Пчілка"), house.person("Леся Українка")
    order = await house.bought(client, "1-1", "1-2", holders={"1-2": guest})
    (row,) = await house.orders("stage=paid")
    assert "cancel" in row["actions"]
    links = [ticket["document_url"] for ticket in await order.tickets()]
    for person in (client, guest):
        await person.letters(1)  # tickets that are void before their letter has gone out are not sent

    await order.cancel()
    card = await order.becomes(stage="cancelled", cancelled_from="paid", payment_status="money_refunded")
    assert (card["refunded"], bool(card["money_refunded_at"])) == (uah(50_000), True)
    assert all(ticket["voided_at"] for ticket in await order.tickets())
    for link in links:
        async with house.platform.http.get(link) as answer:
            assert answer.status == 410
    await house.hall_shows({})
    for person, seat, mails in ((client, "місце 1", 3), (guest, "місце 2", 2)):
        subjects = {mail.subject: mail for mail in await person.letters(mails)}
        told = subjects["Ваш квиток скасовано: Лісова пісня"]
        assert seat in told.text
        assert told.attachments == ()


@pytest.mark.shows("ORD-57")
async def test_money_goes_back_in_part_and_then_in_full(house: House) -> None:
    client = house.person("Соломія Крушельницька")
    order = await house.bought(client, "1-1", "1-2", "1-3")
    await client.letters()
    first = next(line["line_id"] for line in (await order.card())["lines"] if line["reference"] == "1-1")
    await house.desk.post(f"{order.path}/refunds", {"line_ids": [first], "reason": "захворіла"})
    card = await order.becomes(payment_status="partially_refunded", stage="paid", refunded=uah(25_000))
    assert [refund["done"] for refund in card["refunds"]] == [True]
    await house.hall_shows({"1-2": "sold", "1-3": "sold"})
    assert [bool(ticket["voided_at"]) for ticket in await order.tickets()] == [True, False, False]

    await house.desk.post(f"{order.path}/refunds", {"reason": "виставу перенесено"})
    await order.becomes(payment_status="money_refunded", stage="cancelled", refunded=uah(75_000))
    await house.hall_shows({})
    ledger = await house.desk.get("/api/orders/ledger")
    assert ledger["sum"] == 0
    assert {row["balance"]["minor"] for row in ledger["balances"]} == {0}
    _, in_part, in_full = await client.letters(3)
    assert ("250,00" in in_part.subject, "500,00" in in_full.subject) == (True, True)


@pytest.mark.shows("CUS-11")
async def test_customers_cancel_in_their_own_account(house: House) -> None:
    customer, stranger = house.person("Панас"), house.person("Чужий")
    await customer.register()
    await stranger.register()
    order = await house.hold(customer, "1-1")
    await order.check_out()
    mine = (await customer.get("/api/orders/my-orders"))["items"]
    assert [(row["id"], row["stage"]) for row in mine] == [(order.id, "awaiting_payment")]
    assert (await stranger.get("/api/orders/my-orders"))["items"] == []
    assert (await stranger.ask("POST", f"{order.path}/cancel"))[0] == 404

    cancelled = await customer.post(f"{order.path}/cancel")
    assert (cancelled["stage"], cancelled["cancel_reason"]) == ("cancelled", "by_buyer")
    await house.hall_shows({})
