"""A person who was erased does not come back with an event that still travels.

Erasing leaves marks: keyed hashes of the person's addresses, accounts and orders, with the moment until which they are
forgotten. What an older event says of them is taken out of it before a handler sees it, whether it comes late, is
replayed from the dead letters, or read from the start of a topic. A person who orders again afterwards is a new one.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.accounts import AccountState, LetterRequested
from contracts.crm import CustomerState
from contracts.envelope import Event, EventData
from contracts.orders import Customer, EnrolmentOpened, OrderState, Participant
from contracts.ticketing import Holder, HoldPlaced, TicketsIssued, TicketsVoided

NEWEST = text("SELECT max(forgotten_until) FROM forgotten")
FIND = text("SELECT mark, forgotten_until FROM forgotten WHERE mark = ANY(:marks)")
REMEMBER = text("""
    INSERT INTO forgotten (mark, forgotten_until)
    SELECT mark, clock_timestamp() FROM unnest(CAST(:marks AS bytea[])) AS mark ORDER BY mark
    ON CONFLICT (mark) DO UPDATE SET forgotten_until = excluded.forgotten_until
""")

Key = tuple[str, str]
"""What a person is known by: email, account or order, and its value."""


def email_key(email: str) -> Key:
    return "email", email.strip().lower()


def account_key(account: UUID) -> Key:
    return "account", str(account)


def order_key(order: UUID) -> Key:
    return "order", str(order)


def mark(secret: SecretStr, key: Key) -> bytes:
    """Nobody who reads the database can try addresses out."""
    return hmac.digest(secret.get_secret_value().encode(), ":".join(key).encode(), "sha256")


async def remember(session: AsyncSession, secret: SecretStr, keys: Iterable[Key]) -> None:
    """Forgets, from now on, what was told until now of whoever is known by these."""
    await session.execute(REMEMBER, {"marks": [mark(secret, key) for key in sorted(set(keys))]})


async def take_out(
    session: AsyncSession, secret: SecretStr, events: Sequence[Event[EventData]]
) -> list[Event[EventData] | None]:
    """The events without persons who were erased after them; none in the place of one that tells of nothing else."""
    newest: datetime | None = await session.scalar(NEWEST)
    if newest is None or all(event.time > newest for event in events):
        return list(events)
    keys = {key for event in events for key in keys_of(event.data)}
    marks = {mark(secret, key): key for key in keys}
    rows = await session.execute(FIND, {"marks": list(marks)})
    until = {marks[bytes(row.mark)]: row.forgotten_until for row in rows}
    return [_without(event, {key for key, end in until.items() if event.time <= end}) for event in events]


def _without(event: Event[EventData], erased: set[Key]) -> Event[EventData] | None:
    data = without(event.data, erased) if erased else event.data
    if data is None or data is event.data:
        return None if data is None else event
    return Event(
        id=event.id,
        data=data,
        organisation=event.organisation,
        aggregate_version=event.aggregate_version,
        time=event.time,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        traceparent=event.traceparent,
    )


def keys_of(data: EventData) -> set[Key]:
    """All that the persons in an event are known by."""
    keys: set[Key] = set()
    for name, make in (("order_id", order_key), ("hold_id", order_key), ("account_id", account_key)):
        if value := getattr(data, name, None):
            keys.add(make(value))
    emails: list[str | None] = []
    if isinstance(data, AccountState | LetterRequested):
        emails.append(data.email)
    elif isinstance(data, CustomerState):
        emails += data.emails
    elif isinstance(data, OrderState):
        emails += [line.participant.email for line in data.lines if line.participant]
        if data.customer:
            emails.append(data.customer.email)
            keys |= {account_key(data.customer.account_id)} if data.customer.account_id else set()
    elif isinstance(data, EnrolmentOpened):
        emails.append(data.student.email)
    elif isinstance(data, TicketsIssued | TicketsVoided):
        emails += [ticket.holder.email for ticket in data.tickets]
        if isinstance(data, TicketsIssued):
            emails += [document.recipient.email for document in data.documents]
    return keys | {email_key(email) for email in emails if email}


def without(data: EventData, erased: set[Key]) -> EventData | None:
    """The event without whoever is known by `erased`; none if it tells of nothing else, the same if of others only."""
    if isinstance(data, AccountState | LetterRequested | CustomerState | EnrolmentOpened):
        return None if keys_of(data) & erased else data
    if isinstance(data, OrderState):
        return _order(data, erased)
    if isinstance(data, HoldPlaced) and data.account_id and account_key(data.account_id) in erased:
        return data.model_copy(update={"account_id": None})
    if isinstance(data, TicketsIssued | TicketsVoided):
        return _tickets(data, erased)
    return data


def _order(data: OrderState, erased: set[Key]) -> OrderState:
    update: dict[str, object] = {}
    if (customer := data.customer) is not None:
        mine = bool(customer.account_id) and account_key(customer.account_id) in erased  # type: ignore[arg-type]
        if order_key(data.order_id) in erased or _is_erased(customer, mine, erased):
            update |= {"customer": None, "order_url": None}
        elif mine:
            update["customer"] = customer.model_copy(update={"account_id": None})
    lines = tuple(
        line.model_copy(update={"participant": None})
        if line.participant and _is_erased(line.participant, order_key(data.order_id) in erased, erased)
        else line
        for line in data.lines
    )
    return data.model_copy(update=update | {"lines": lines}) if update or lines != data.lines else data


def _tickets(data: TicketsIssued | TicketsVoided, erased: set[Key]) -> EventData:
    order = order_key(data.order_id) in erased
    tickets = tuple(
        ticket.model_copy(update={"holder": Holder(name="")}) if _is_erased(ticket.holder, order, erased) else ticket
        for ticket in data.tickets
    )
    update: dict[str, object] = {"tickets": tickets}
    if isinstance(data, TicketsIssued):
        update["documents"] = tuple(one for one in data.documents if not _is_erased(one.recipient, order, erased))
    same = all(getattr(data, name) == value for name, value in update.items())
    return data if same else data.model_copy(update=update)


def _is_erased(person: Customer | Participant | Holder, by_order: bool, erased: set[Key]) -> bool:
    """By their own address; somebody without one by the order or account that names them."""
    return email_key(person.email) in erased if person.email else by_order
