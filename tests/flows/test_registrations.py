"""Participants apart from customers, and what people registered beside what was ordered for them (section 2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.house import House, Order
from tests.flows.people import Person, pages, tickets_in
from tests.harness import eventually


@pytest.mark.shows("ORD-5", "ORD-25", "REG-1", "REG-3", "REG-4", "REG-5")
async def test_participants_have_a_list_of_their_own(house: House) -> None:
    customer, friend = house.person("Марія Заньковецька", "+380671234567"), house.person("Іван Франко", "+380501112233")
    order = await house.bought(customer, "1-1", "1-2", holders={"1-1": friend, "1-2": friend})
    await house.bought(house.person("Хтось"), "2-1")

    assert customer.name in [row["customer"]["name"] for row in await house.orders("")]
    everybody = (await house.desk.get(f"/api/ticketing/registrations?show_id={house.show['show_id']}"))["items"]
    assert [row["ordered"]["name"] for row in everybody] == ["Іван Франко", "Іван Франко", "Хтось"]

    rows = await registrations(order)
    assert [row["ordered"] for row in rows] == [friend.contact, friend.contact]
    lines = (await order.card())["lines"]
    assert [(line["ticket_number"], line["participant"]) for line in lines] == [
        (row["number"], friend.contact) for row in rows
    ]
    (mail,) = await friend.letters()
    for row, page in zip(rows, tickets_in(mail), strict=True):
        assert f"№ {row['number']}" in page
        (one,) = (await house.desk.get(f"/api/ticketing/registrations?number={row['number']}"))["items"]
        assert one == row


@pytest.mark.shows("ORD-26", "REG-6", "REG-7", "ROL-2", "CUS-12")
async def test_what_people_registered_stands_beside_what_was_typed(house: House) -> None:
    customer, guest = house.person("Марія", "+380671234567"), house.person("Гостя")
    before = Person(house.platform, "Марія Адасовська", customer.email, "+380931112233")
    await before.register(house.organisation)
    order = await house.bought(customer, "1-1", "1-2", holders={"1-2": guest})

    async def registered_data() -> dict[str, Any]:
        card = await order.card()
        assert card["customer"]["registered"] == before.contact
        return card

    card = await eventually(registered_data, timeout=30)
    private = Person(house.platform, "Чужа людина", house.person("Хтось").email, "+380939998877")
    await private.register()
    probe = await house.bought(
        house.person("Цікава"), "2-1", holders={"2-1": Person(house.platform, "Хтось", private.email)}
    )
    assert {name: card["customer"][name] for name in customer.contact} == customer.contact
    _, row = await registrations(order)
    assert (row["ordered"], row["registered"], row["contact"]) == (guest.contact, None, guest.contact)

    later = Person(house.platform, "Леся Косач", guest.email, "+380504445566")
    await later.register(house.organisation)

    async def both_known() -> dict[str, Any]:
        _, row = await registrations(order)
        assert row["registered"] == later.contact
        return row

    row = await eventually(both_known, timeout=30)
    (probed,) = await registrations(probe)
    assert (probed["registered"], probed["contact"]) == (None, probed["ordered"]), (
        "an address shows nothing of whose it is"
    )
    assert row["ordered"] == guest.contact
    assert row["contact"] == later.contact, "what the person entered counts for more"
    _, ticket = await order.tickets()
    async with house.platform.http.get(ticket["document_url"]) as printed:
        (page,) = pages(await printed.read())
    assert guest.name in page
    assert later.name not in page, "the ticket keeps what was ordered"

    async def known_to_crm() -> dict[str, Any]:
        found = (await house.desk.get(f"/api/crm/customers?search={customer.email}"))["items"]
        assert found, "nobody yet"
        known: dict[str, Any] = await house.desk.get(f"/api/crm/customers/{found[0]['customer_id']}")
        assert known["registered"] == before.contact
        return known

    known = await eventually(known_to_crm, timeout=30)
    assert [one["typed"] for one in known["orders"]] == [customer.contact]


async def registrations(order: Order) -> list[dict[str, Any]]:
    answer = await order.house.desk.get(f"/api/ticketing/registrations?order_id={order.id}")
    return answer["items"]  # type: ignore[no-any-return]
