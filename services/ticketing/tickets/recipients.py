"""Who gets which tickets: one document per distinct person who was named as participant (REG-9, ORD-4). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.people import normalise_email
from contracts.orders import LineKind, OrderLine, OrderState
from contracts.ticketing import Holder


@dataclass(frozen=True, slots=True)
class Bundle:
    """Some lines of an order whose tickets go to one address."""

    recipient: Holder
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that an order was made of."""

    hold_id: UUID
    show_id: UUID
    lines: tuple[OrderLine, ...]


def holds_of(order: OrderState) -> list[Held]:
    """The holds whose seats and places an order has lines for, in the order of their ids, in which they are locked. A
    line that names no hold is of the one that has the order's id."""
    lines: dict[tuple[UUID, UUID], list[OrderLine]] = defaultdict(list)
    for line in order.lines:
        show_id = line.show_id or order.show_id
        if line.kind in (LineKind.SEAT, LineKind.PLACE) and show_id is not None:
            lines[line.hold_id or order.order_id, show_id].append(line)
    return [Held(hold_id, show_id, tuple(found)) for (hold_id, show_id), found in sorted(lines.items())]


def holder_of(line: OrderLine, order: OrderState) -> Holder:
    """Who is printed on the ticket: the participant, or else the customer."""
    person = line.participant or order.customer
    if person is None:
        return Holder(name="")
    return Holder(name=person.name, email=person.email, phone=person.phone)


def bundles(order: OrderState, lines: Sequence[OrderLine]) -> list[Bundle]:
    """The lines by recipient, in the order of their first line. A participant without an address of their own is
    reached through the customer."""
    groups: dict[str, tuple[Holder, list[OrderLine]]] = {}
    for line in lines:
        recipient = _reachable(holder_of(line, order), order)
        _, together = groups.setdefault(_address(recipient), (recipient, []))
        together.append(line)
    return [Bundle(recipient, tuple(together)) for recipient, together in groups.values()]


def _reachable(holder: Holder, order: OrderState) -> Holder:
    customer = order.customer
    if holder.email or holder.phone or customer is None:
        return holder
    return Holder(name=customer.name, email=customer.email, phone=customer.phone)


def _address(holder: Holder) -> str:
    if holder.email:
        return normalise_email(holder.email) or holder.email.strip().lower()
    return holder.phone or ""
