"""How orders are found and sorted by what people call them (ORD-21): kept with every change, from the whole order."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import search
from chassis.alphabets import sort_key
from chassis.db import Database
from chassis.jobs import Job
from services.orders.order.load import PARTS
from services.orders.order.tables import Order, Searched

EVERY = timedelta(seconds=5)
AT_ONCE = 200


async def keep_searchable(session: AsyncSession, order: Order) -> None:
    """After any change of a loaded order. Only another text is written."""
    order.customer_sort, order.title_sort = sort_key(order.customer_name or ""), sort_key(order.title)
    words = _words(order)
    known_by = hashlib.blake2b(words.encode(), digest_size=8).hexdigest() if words else ""
    if order.searched_as != known_by:
        if words or order.searched_as:
            await search.keep(session, Searched, order.organisation, order.id, words)
        order.searched_as = known_by


def _words(order: Order) -> str:
    people = {(line.participant_name, line.participant_email, line.participant_phone) for line in order.lines}
    people.add((order.customer_name, order.customer_email, order.customer_phone))
    references = [text for payment in order.payments for text in (payment.reference, payment.receipt) if text]
    if not any(name for name, _, _ in people) and not references:
        return ""
    names, emails, phones = zip(*sorted(people, key=str), strict=True)
    tickets = [line.ticket_number for line in order.lines]
    return search.stored((*names, *emails, order.title), (order.number, *tickets, *references), phones)


async def keep_unsearchable(db: Database) -> int:
    """Orders of an older release, and those of which a person was forgotten: as many as there were."""
    async with db.as_worker() as session:
        unknown = select(Order).where(Order.searched_as.is_(None)).limit(AT_ONCE).with_for_update(skip_locked=True)
        orders = list(await session.scalars(unknown.options(*PARTS).execution_options(populate_existing=True)))
        for order in orders:
            await keep_searchable(session, order)
    return len(orders)


def search_jobs() -> list[Job]:
    return [Job("searchable", EVERY.total_seconds(), keep_unsearchable)]
