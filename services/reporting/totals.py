"""Counts totals from the rows (RPT-1, ORD-14), of an organisation or of one of its shows, whole or for some days.

Income is payments received less refunds, by the day of the payment and by currency: currencies are never added up.
Days are those of the organisation's time zone. Orders are counted on the day they were made; removed ones are not
counted, but their money is (GAP-21). A new order is one that awaits its payment, a paid one is one in the stage paid:
the same as the words New and Paid in the list of orders (ORD-13).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import wall_clock
from services.reporting import projection

NEW_UNPAID = "stage = 'awaiting_payment'"
PAID = "stage = 'paid'"

_ORDERS = """
    FROM order_row o
    WHERE o.organisation = :organisation
      AND (CAST(:show AS uuid) IS NULL OR o.show_id = :show)
      AND o.created_at >= :since AND o.created_at < :until
      AND NOT EXISTS (SELECT FROM removed_order r WHERE r.order_id = o.order_id)
"""
_MONEY = """
    FROM movement m
    WHERE m.organisation = :organisation
      AND (CAST(:show AS uuid) IS NULL OR m.order_id IN (
          SELECT o.order_id FROM order_row o WHERE o.show_id = :show AND o.organisation = :organisation))
      AND m.at >= :since AND m.at < :until
"""
_SUMS = """
    sum(m.minor)::bigint AS income,
    coalesce(sum(m.minor) FILTER (WHERE NOT m.returned), 0)::bigint AS received,
    coalesce(-sum(m.minor) FILTER (WHERE m.returned), 0)::bigint AS refunded
"""

_TYPES = (
    bindparam("organisation", type_=PG_UUID(as_uuid=True)),
    bindparam("show", type_=PG_UUID(as_uuid=True)),
    bindparam("since", type_=TIMESTAMP(timezone=True)),
    bindparam("until", type_=TIMESTAMP(timezone=True)),
)

# Every text below is a constant of this module; values travel as parameters.
ORDERS = text(f"""
    SELECT o.stage, o.payment_status, count(*) AS orders,
           count(*) FILTER (WHERE {NEW_UNPAID}) AS new_unpaid, count(*) FILTER (WHERE {PAID}) AS paid
    {_ORDERS} GROUP BY o.stage, o.payment_status ORDER BY o.stage, o.payment_status
""").bindparams(*_TYPES)
MONEY = text(f"SELECT m.currency, {_SUMS} {_MONEY} GROUP BY m.currency ORDER BY m.currency").bindparams(*_TYPES)
TICKETS = text("""
    SELECT count(t.issued_at) AS issued, count(t.voided_at) AS voided,
           count(*) FILTER (WHERE t.issued_at IS NOT NULL AND t.voided_at IS NULL) AS valid
    FROM ticket_row t
    WHERE t.organisation = :organisation AND (CAST(:show AS uuid) IS NULL OR t.show_id = :show)
      AND t.issued_at >= :since AND t.issued_at < :until
""").bindparams(*_TYPES)
DAY_ORDERS = text(f"""
    SELECT (o.created_at AT TIME ZONE :zone)::date AS day, count(*) AS orders,
           count(*) FILTER (WHERE {NEW_UNPAID}) AS new_unpaid, count(*) FILTER (WHERE {PAID}) AS paid
    {_ORDERS} GROUP BY day ORDER BY day
""").bindparams(*_TYPES)
DAY_MONEY = text(f"""
    SELECT (m.at AT TIME ZONE :zone)::date AS day, m.currency, {_SUMS}
    {_MONEY} GROUP BY day, m.currency ORDER BY day, m.currency
""").bindparams(*_TYPES)
AS_OF = text("""
    SELECT greatest(
        (SELECT max(event_at) FROM order_row WHERE organisation = :organisation),
        (SELECT max(at) FROM movement WHERE organisation = :organisation),
        (SELECT max(greatest(issued_at, voided_at)) FROM ticket_row WHERE organisation = :organisation),
        (SELECT max(event_at) FROM show_row WHERE organisation = :organisation),
        (SELECT max(event_at) FROM organisation_row WHERE organisation = :organisation)
    )
""")
SHOWS = text("""
    SELECT show_id, name, starts_at, status, currency, capacity FROM show_row
    WHERE organisation = :organisation AND (CAST(:show AS uuid) IS NULL OR show_id = :show)
    ORDER BY starts_at DESC, show_id
""").bindparams(_TYPES[0], _TYPES[1])
ZONE = text("SELECT time_zone FROM organisation_row WHERE organisation = :organisation")

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is counted: an organisation or one show, between two instants."""

    organisation: UUID
    zone: ZoneInfo
    show: UUID | None = None
    since: datetime = BEGINNING
    until: datetime = END

    def parameters(self) -> dict[str, Any]:
        return {
            "organisation": self.organisation,
            "show": self.show,
            "since": self.since,
            "until": self.until,
        }


async def scope(
    session: AsyncSession,
    organisation: UUID,
    *,
    show: UUID | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Scope:
    """The scope from the first to the last day, both counted, in the organisation's time zone.

    Keeps the tables from being exchanged until the transaction ends; call it first.
    """
    await projection.steady(session)
    zone = wall_clock.zone(await session.scalar(ZONE, {"organisation": organisation}))
    return Scope(
        organisation,
        zone,
        show,
        _midnight(first, zone) if first else BEGINNING,
        _midnight(last + timedelta(days=1), zone) if last else END,
    )


async def count(session: AsyncSession, of: Scope) -> dict[str, Any]:
    """All totals of a scope."""
    parameters = of.parameters()
    orders = (await session.execute(ORDERS, parameters)).mappings().all()
    money = (await session.execute(MONEY, parameters)).mappings().all()
    tickets = (await session.execute(TICKETS, parameters)).mappings().one()
    return {
        **await stamp(session, of),
        **_money(money),
        "orders": sum(row["orders"] for row in orders),
        "new_unpaid": sum(row["new_unpaid"] for row in orders),
        "paid": sum(row["paid"] for row in orders),
        "by_stage": _by("stage", orders),
        "by_payment_status": _by("payment_status", orders),
        "tickets": dict(tickets),
    }


async def days(session: AsyncSession, of: Scope) -> dict[str, Any]:
    """Totals of each day on which something happened, oldest first."""
    parameters = {**of.parameters(), "zone": of.zone.key}
    found: dict[date, dict[str, Any]] = {}
    for row in (await session.execute(DAY_ORDERS, parameters)).mappings():
        found[row["day"]] = {name: row[name] for name in ("orders", "new_unpaid", "paid")}
    money: dict[date, list[RowMapping]] = {}
    for row in (await session.execute(DAY_MONEY, parameters)).mappings():
        money.setdefault(row["day"], []).append(row)
    none = {"orders": 0, "new_unpaid": 0, "paid": 0}
    items = [
        {"day": day, **none, **found.get(day, {}), **_money(money.get(day, []))} for day in sorted({*found, *money})
    ]
    return {**await stamp(session, of), "items": items, "next": None}


async def stamp(session: AsyncSession, of: Scope) -> dict[str, Any]:
    """`as_of`: the time of the newest event that the figures contain, none if there is no event yet."""
    as_of = await session.scalar(AS_OF, {"organisation": of.organisation})
    return {"as_of": as_of, "generated_at": datetime.now(UTC), "time_zone": of.zone.key}


async def shows(session: AsyncSession, organisation: UUID, show: UUID | None = None) -> list[dict[str, Any]]:
    """The organisation's shows, the latest first, or the one named."""
    rows = (await session.execute(SHOWS, {"organisation": organisation, "show": show})).mappings()
    return [dict(row) for row in rows]


def _by(column: str, rows: Any) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in rows:
        counted[row[column]] = counted.get(row[column], 0) + row["orders"]
    return counted


def _money(rows: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"minor": row[name], "currency": row["currency"]} for row in rows]
        for name in ("income", "received", "refunded")
    }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
