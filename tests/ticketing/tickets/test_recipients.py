"""Who gets which tickets, as a table."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.money import Money
from contracts.orders import LineKind, OrderLine, Participant
from services.ticketing.tickets.recipients import bundles, holder_of, holds_of
from tests.ticketing.theatre import Order

OLENA = Participant(name="Олена", email="olena@example.com", phone="+380671234567")
SAME = Participant(name="О. Ш.", email=" OLENA@example.com")
TARAS = Participant(name="Тарас", phone="+380509998877")
BOTH = Participant(name="Тарас М.", email="taras@example.com", phone="+380509998877")
NOBODY = Participant(name="Гість")
CUSTOMER = ("Олена Шевченко", "olena@example.com", "+380671234567")


def order_of(*participants: Participant | None):
    seats = [
        {"seat": f"1-{n}", "label": f"1-{n}", "price": {"minor": 100, "currency": "UAH"}}
        for n in range(1, len(participants) + 1)
    ]
    total = {"minor": 100 * len(participants), "currency": "UAH"}
    hold = {"hold_id": str(uuid4()), "show_id": str(uuid4()), "seats": seats, "total": total}
    named = {f"1-{n}": person for n, person in enumerate(participants, 1) if person}
    return Order(uuid4(), hold, participants=named).paid().data


@pytest.mark.parametrize(
    ("participants", "expected"),
    [
        ((None, None), [(CUSTOMER, "12")]),
        ((OLENA, SAME), [(("Олена", "olena@example.com", "+380671234567"), "12")]),
        (
            (OLENA, TARAS, SAME),
            [(("Олена", "olena@example.com", "+380671234567"), "13"), (("Тарас", None, TARAS.phone), "2")],
        ),
        ((TARAS, TARAS), [(("Тарас", None, TARAS.phone), "12")]),
        # The e-mail decides where there is one: a family shares a phone.
        ((TARAS, BOTH), [(("Тарас", None, TARAS.phone), "1"), (("Тарас М.", "taras@example.com", TARAS.phone), "2")]),
        ((NOBODY, TARAS), [(CUSTOMER, "1"), (("Тарас", None, TARAS.phone), "2")]),
        ((NOBODY, None, OLENA), [(CUSTOMER, "123")]),
    ],
)  # fmt: skip
def test_a_document_for_each_address(participants, expected):
    order = order_of(*participants)
    made = bundles(order, order.lines)
    assert [
        ((b.recipient.name, b.recipient.email, b.recipient.phone), "".join(x.reference[-1] for x in b.lines))
        for b in made
    ] == expected


def test_the_name_on_the_ticket_is_the_participants():
    order = order_of(NOBODY, None, OLENA)
    assert [holder_of(line, order).name for line in order.lines] == ["Гість", "Олена Шевченко", "Олена"]


def test_an_order_without_a_customer_has_a_ticket_for_the_bearer():
    order = order_of(None).model_copy(update={"customer": None})
    (bundle,) = bundles(order, order.lines)
    assert (bundle.recipient.name, bundle.recipient.email) == ("", None)


def test_only_seats_have_tickets():
    price = Money(minor=100, currency="UAH")
    course = OrderLine(
        line_id=uuid4(), kind=LineKind.COURSE, reference="c", title="Курс", unit_price=price, total=price
    )
    order = order_of(None)
    order = order.model_copy(update={"lines": (*order.lines, course)})
    (held,) = holds_of(order)
    assert [line.reference for line in held.lines] == ["1-1"]


def test_an_order_is_of_the_holds_that_its_lines_name():
    order = order_of(OLENA, TARAS)
    other, elsewhere = uuid4(), uuid4()
    moved = order.lines[1].model_copy(
        update={"kind": LineKind.PLACE, "hold_id": other, "show_id": elsewhere, "reference": str(uuid4())}
    )
    held = holds_of(order.model_copy(update={"lines": (order.lines[0], moved)}))
    assert {(each.hold_id, each.show_id): each.lines for each in held} == {
        (order.order_id, order.show_id): (order.lines[0],),
        (other, elsewhere): (moved,),
    }
