"""The lines of an order: seats and places of holds, courses and goods. Their ids follow from what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid5

from contracts.orders import GivenBy, LineKind
from contracts.ticketing import HeldPlaces, HeldSeat
from services.orders.catalogue.tables import Offer
from services.orders.order.tables import Order, OrderLine
from services.orders.process.line import Line, Return

Student = tuple[str, str | None, str | None]
"""Name, e-mail and phone; without the last two, by way of the customer."""
MOST_LINES = 2000
"""Of one order."""
GIVEN_BY = {
    LineKind.SEAT: GivenBy.TICKETING,
    LineKind.PLACE: GivenBy.TICKETING,
    LineKind.COURSE: GivenBy.SCHOOL,
    LineKind.GOODS: GivenBy.WAREHOUSE,
}
FRESH: dict[str, Any] = {"state": "live", "given": 0, "returned": 0, "discount": 0, "tax": 0}
"""What the database would fill in."""


def seat_line(order: Order, hold: UUID, show: UUID, seat: HeldSeat) -> OrderLine:
    """The same id from the hold's event and from its quote, whichever comes first."""
    return OrderLine(
        **_ticket(order, hold, show, seat),
        id=uuid5(hold, seat.seat),
        kind=LineKind.SEAT.value,
        reference=seat.seat,
        title=seat.label,
        quantity=1,
        total=seat.price.minor,
    )


def place_line(order: Order, hold: UUID, show: UUID, places: HeldPlaces) -> OrderLine:
    """All places of an area at one fare."""
    return OrderLine(
        **_ticket(order, hold, show, places),
        id=uuid5(hold, f"{places.area}:{places.fare}"),
        kind=LineKind.PLACE.value,
        reference=str(places.area),
        title=places.label,
        quantity=places.quantity,
        total=places.price.minor * places.quantity,
    )


def hold_lines(
    order: Order, hold: UUID, show: UUID, seats: Iterable[HeldSeat], places: Iterable[HeldPlaces]
) -> list[OrderLine]:
    return [seat_line(order, hold, show, seat) for seat in seats] + [
        place_line(order, hold, show, some) for some in places
    ]


def _ticket(order: Order, hold: UUID, show: UUID, held: HeldSeat | HeldPlaces) -> dict[str, Any]:
    return {
        "organisation": order.organisation,
        "order_id": order.id,
        "given_by": GivenBy.TICKETING.value,
        "hold_id": hold,
        "show_id": show,
        "zone": held.zone_name,
        "fare": held.fare,
        "fare_name": held.fare_name,
        "unit_price": held.price.minor,
        "returns": [],
        **FRESH,
    }


def offer_line(order: Order, offer: Offer, quantity: int) -> OrderLine:
    return OrderLine(
        id=uuid5(order.id, str(offer.id)),
        organisation=order.organisation,
        order_id=order.id,
        kind=offer.kind,
        given_by=GIVEN_BY[LineKind(offer.kind)].value,
        reference=str(offer.id),
        title=offer.name,
        zone=None,
        quantity=quantity,
        unit_price=offer.price,
        total=offer.price * quantity,
        returns=[],
        **FRESH,
    )


def course_lines(order: Order, offer: Offer, students: Sequence[Student]) -> list[OrderLine]:
    """A line for each student, who can be given back alone; without any, one for the customer."""
    first = offer_line(order, offer, 1)
    lines = [first] + [offer_line(order, offer, 1) for _ in students[1:]]
    for number, line in enumerate(lines[1:], start=2):
        line.id = uuid5(order.id, f"{offer.id}:{number}")
    for line, (name, email, phone) in zip(lines, students, strict=False):
        own = email or phone
        line.participant_name = name
        line.participant_email = email if own else order.customer_email
        line.participant_phone = phone if own else order.customer_phone
    return lines


def replace_lines(order: Order, lines: Iterable[OrderLine]) -> tuple[Line, ...]:
    """Gives an order that is not placed yet its lines; returns them as the process takes them."""
    kept: dict[UUID, OrderLine] = {row.id: row for row in order.lines}
    wanted = []
    for position, line in enumerate(lines):
        row = kept.get(line.id)
        if row is None:
            row = line
        else:
            row.title, row.zone = line.title, line.zone
            row.unit_price, row.total, row.quantity = line.unit_price, line.total, line.quantity
        row.position = position
        wanted.append(row)
    order.lines = wanted
    return tuple(map(line_of, wanted))


def line_of(row: OrderLine) -> Line:
    """What the process sees of a line."""
    return Line(
        id=row.id,
        reference=row.reference,
        amount=row.total,
        quantity=row.quantity,
        kind=LineKind(row.kind),
        hold=row.hold_id,
        given=row.given,
        returns=tuple(_return(**part) for part in row.returns),
    )


def _return(*, request: str | None, quantity: int, amount: int, fee: int, gone: bool, refund: str | None) -> Return:
    return Return(
        request=UUID(request) if request else None,
        quantity=quantity,
        amount=amount,
        fee=fee,
        gone=gone,
        refund=UUID(refund) if refund else None,
    )


def keep_line(row: OrderLine, line: Line) -> None:
    row.state, row.given, row.returned = line.state, line.given, line.returned
    row.returns = [
        {
            "request": str(part.request) if part.request else None,
            "quantity": part.quantity,
            "amount": part.amount,
            "fee": part.fee,
            "gone": part.gone,
            "refund": str(part.refund) if part.refund else None,
        }
        for part in line.returns
    ]


def refunded_of(order: Order, row: OrderLine) -> int:
    """What was paid back of a line: a card hold that was let go needed no refund of its own."""
    waiting = {str(refund.id) for refund in order.refunds if not refund.done}
    return sum(part["amount"] for part in row.returns if part["refund"] and part["refund"] not in waiting)
