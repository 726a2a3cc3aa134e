"""The lines of an order: seats of a hold or quote, courses and goods. Their ids follow from what they are."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid5

from contracts.orders import LineKind
from services.orders.catalogue.tables import Offer
from services.orders.order.tables import Order, OrderLine
from services.orders.process.state import Line


def seat_line(order: Order, position: int, seat: str, label: str, zone: str, price: int) -> OrderLine:
    """The same id from the hold's event and from its quote, whichever comes first."""
    return OrderLine(
        id=uuid5(order.id, seat),
        organisation=order.organisation,
        order_id=order.id,
        position=position,
        kind=LineKind.SEAT.value,
        reference=seat,
        title=label,
        zone=zone,
        quantity=1,
        unit_price=price,
        total=price,
        state="live",
    )


def offer_line(order: Order, offer: Offer, quantity: int) -> OrderLine:
    return OrderLine(
        id=uuid5(order.id, str(offer.id)),
        organisation=order.organisation,
        order_id=order.id,
        position=0,
        kind=offer.kind,
        reference=str(offer.id),
        title=offer.name,
        zone=None,
        quantity=quantity,
        unit_price=offer.price,
        total=offer.price * quantity,
        state="live",
    )


def replace_lines(order: Order, lines: Iterable[OrderLine]) -> tuple[Line, ...]:
    """Gives an order that is not placed yet its lines; returns them as the process takes them."""
    kept: dict[UUID, OrderLine] = {row.id: row for row in order.lines}
    wanted = []
    for line in lines:
        row = kept.get(line.id)
        if row is None:
            wanted.append(line)
            continue
        row.position, row.title, row.zone = line.position, line.title, line.zone
        row.unit_price, row.total, row.quantity = line.unit_price, line.total, line.quantity
        wanted.append(row)
    order.lines = wanted
    return tuple(
        Line(id=row.id, reference=row.reference, amount=row.total, is_seat=row.kind == LineKind.SEAT) for row in wanted
    )
