"""What a service has of a person, to be given out or removed: each service lists it in its `persons.py`.

`TRACES` there are rows of tables, in the order in which they are erased: a trace that is found by way of another table
comes before that one. What the chassis keeps itself, waiting and published events and answers to repeated requests, is
erased here for all services.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import forgotten
from chassis.forgotten import Key
from chassis.texts import like
from contracts.envelope import EventData, MalformedEvent, UnknownEventType, decode

DELETE = ""


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody is known by. Addresses are in lower case; `orders` are those that they placed."""

    emails: frozenset[str] = frozenset()
    accounts: frozenset[UUID] = frozenset()
    orders: frozenset[UUID] = frozenset()

    def __or__(self, other: Person) -> Person:
        return replace(
            self,
            emails=self.emails | other.emails,
            accounts=self.accounts | other.accounts,
            orders=self.orders | other.orders,
        )

    def keys(self) -> set[Key]:
        return {
            *map(forgotten.email_key, self.emails),
            *map(forgotten.account_key, self.accounts),
            *map(forgotten.order_key, self.orders),
        }

    def parameters(self) -> dict[str, Any]:
        return {"emails": sorted(self.emails), "accounts": sorted(self.accounts), "orders": sorted(self.orders)}


TYPES = (
    bindparam("emails", type_=ARRAY(Text())),
    bindparam("accounts", type_=ARRAY(Uuid())),
    bindparam("orders", type_=ARRAY(Uuid())),
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows of `table` that are about a person: `where` is SQL with the parameters :emails, :accounts and :orders.

    `erase` are the assignments of an UPDATE; `DELETE` takes the rows away. `show` are the columns that the person is
    given; nothing of rows that only repeat what other rows say.
    """

    table: str
    where: str
    erase: str
    show: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """How a service finds a person, what it has of them, and what must be over before they can be erased."""

    traces: Sequence[Trace] = ()
    find: str = ""
    """SQL that gives rows of email, account_id and order_id, any of them null."""
    waits: str = ""
    """SQL that gives rows of why, and of until when (or null), something with the person is not over."""


def _sql(statement: str) -> Any:
    known = [each for each in TYPES if f":{each.key}" in statement]
    return text(statement).bindparams(*known)


async def find(session: AsyncSession, service: Service, person: Person) -> Person:
    """The person, with all that this service knows them by."""
    if not service.find:
        return person
    rows = (await session.execute(_sql(service.find), _of(person, service.find))).all()
    return person | Person(
        frozenset(row.email.strip().lower() for row in rows if row.email),
        frozenset(row.account_id for row in rows if row.account_id),
        frozenset(row.order_id for row in rows if row.order_id),
    )


async def waits(session: AsyncSession, service: Service, person: Person) -> list[tuple[str, Any]]:
    """Why the person cannot be erased now, and until when."""
    rows = (await session.execute(_sql(service.waits), _of(person, service.waits))).all() if service.waits else []
    reasons = [(row.why, row.until) for row in rows]
    # Nobody here can read it, so nobody can take them out.
    if await session.scalar(PARKED, {"patterns": _patterns(person)}):
        reasons.append(("an event about them waits for a newer version of a service", None))
    return reasons


async def export(session: AsyncSession, service: Service, person: Person) -> dict[str, list[dict[str, Any]]]:
    """All rows about the person, by table."""
    found: dict[str, list[dict[str, Any]]] = {}
    for trace in service.traces:
        if trace.show:
            statement = f"SELECT {trace.show} FROM {trace.table} WHERE {trace.where}"
            rows = (await session.execute(_sql(statement), _of(person, statement))).mappings()
            found.setdefault(trace.table, []).extend(dict(row) for row in rows)
    return {table: rows for table, rows in found.items() if rows}


async def erase(session: AsyncSession, service: Service, person: Person, secret: SecretStr) -> dict[str, int]:
    """Takes the person out of every row, and leaves marks. Returns how many rows it was, by table."""
    await forgotten.remember(session, secret, person.keys())
    done: dict[str, int] = {}
    for trace in service.traces:
        change = f"UPDATE {trace.table} SET {trace.erase}" if trace.erase else f"DELETE FROM {trace.table}"
        statement = f"WITH gone AS ({change} WHERE {trace.where} RETURNING 1) SELECT count(*) FROM gone"
        count = int(await session.scalar(_sql(statement), _of(person, statement)) or 0)
        done[trace.table] = done.get(trace.table, 0) + count
    for table in ("outbox", "outbox_published", "outbox_failed"):
        done[table] = await _erase_events(session, table, person)
    done["idempotency_key"] = await _erase_answers(session, person)
    return {table: count for table, count in done.items() if count}


async def _erase_events(session: AsyncSession, table: str, person: Person) -> int:
    """Events that wait, were published or were refused: the bytes of Kafka, without the person."""
    needles = [needle.encode() for needle in _needles(person)]
    named = text(
        f"SELECT id, value, headers::text AS headers FROM {table} "
        "WHERE EXISTS (SELECT FROM unnest(CAST(:needles AS bytea[])) AS needle WHERE position(needle IN value) > 0) "
        "OR lower(convert_from(value, 'UTF8')) LIKE ANY(CAST(:patterns AS text[])) FOR UPDATE"
    )
    patterns = [like(email) for email in person.emails]
    changed = 0
    for row in (await session.execute(named, {"needles": needles, "patterns": patterns})).all():
        headers = [(name, value.encode()) for name, value in json.loads(row.headers)]
        try:
            data: EventData = decode(headers, bytes(row.value)).data
        except (MalformedEvent, UnknownEventType):
            continue
        rest = forgotten.without(data, person.keys())
        if rest is data:
            continue
        if rest is None:
            await session.execute(text(f"DELETE FROM {table} WHERE id = :id"), {"id": row.id})
        else:
            written = {"id": row.id, "value": rest.to_json()}
            await session.execute(text(f"UPDATE {table} SET value = :value WHERE id = :id"), written)
        changed += 1
    return changed


PARKED = text("""
    SELECT count(*) FROM parked
    WHERE lower(encode(coalesce(value, ''), 'escape')) LIKE ANY(CAST(:patterns AS text[]))
""")
ANSWERS = text("""
    WITH gone AS (
        DELETE FROM idempotency_key
        WHERE lower(convert_from(coalesce(body, ''), 'UTF8')) LIKE ANY(CAST(:patterns AS text[]))
           OR scope LIKE ANY(CAST(:patterns AS text[]))
        RETURNING 1
    ) SELECT count(*) FROM gone
""")


async def _erase_answers(session: AsyncSession, person: Person) -> int:
    """Answers to requests that may be repeated. A repetition after this is a new request."""
    return int(await session.scalar(ANSWERS, {"patterns": _patterns(person)}) or 0)


def _patterns(person: Person) -> list[str]:
    return [like(needle) for needle in (*_needles(person), *person.emails)]


def _needles(person: Person) -> list[str]:
    return [str(one) for one in (*person.accounts, *person.orders)]


def _of(person: Person, statement: str) -> dict[str, Any]:
    return {name: value for name, value in person.parameters().items() if f":{name}" in statement}
