"""The orders table of one organisation with a million orders: how long the back office waits for each of its questions.

The rows are made inside PostgreSQL: half a million customers, six years, 3,000 shows of which one has sold 20,000
orders, three lines in two orders. What is measured is the statements as the service runs them, behind row-level
security.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from contracts.orders import FunnelStage, PaymentStatus
from services.orders.desk.listing import Page, Sort, already_paid, list_orders, totals
from services.orders.order.ledger import balances
from services.orders.settings import Settings
from tests.bench.figures import Figure
from tests.harness import postgres_server

ORDERS = 1_000_000
ORGANISATION = UUID(int=7)
BIG_SHOW = UUID(int=1_000_001)
"""The show that sold most."""
MEDIAN_MS, P95_MS = 200.0, 500.0
REPEATED, ENOUGH_MS = 21, 10_000.0

FILL = (
    "SET session_replication_role = replica",
    """
    INSERT INTO orders (id, organisation, number, version, stage, payment_status, payment_method, delivery, sold,
                        currency, total, paid, refunded, customer_name, customer_email, customer_phone, show_id, title,
                        starts_at, source, created_at, placed_at, paid_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, $1, 'N' || n, 3,
           CASE WHEN n % 10 < 6 THEN 'paid' WHEN n % 10 < 8 THEN 'interested' WHEN n % 10 = 8 THEN 'cancelled'
                ELSE 'awaiting_payment' END,
           CASE WHEN n % 50 = 0 THEN 'money_refunded' WHEN n % 10 < 6 THEN 'money_received' ELSE 'not_paid' END,
           CASE WHEN n % 7 = 0 THEN 'invoice' ELSE 'card' END, 'issued', n % 10 < 6, 'UAH', 40000 + n % 997,
           CASE WHEN n % 10 < 6 THEN 40000 + n % 997 ELSE 0 END, CASE WHEN n % 50 = 0 THEN 40000 + n % 997 ELSE 0 END,
           (ARRAY['Олена','Тарас','Ganna','Adam','Łukasz','Ірина','Марко'])[1 + n % 7] || ' '
           || (ARRAY['Шевченко','Коваленко','Żółkiewski','Nowak','Мельник','Ткаченко','Бондар','Kravets','Lysenko'])
              [1 + n % 9]
           || ' ' || n / 5 % 100000,
           'client' || n % 500000 || '@example.org', '+38067' || lpad((n % 500000)::text, 7, '0'),
           lpad(to_hex(CASE WHEN n % 50 = 1 THEN 1000001 ELSE 1000002 + n % 2999 END), 32, '0')::uuid,
           'Show ' || CASE WHEN n % 50 = 1 THEN 0 ELSE n % 2999 END, now(),
           'site', now() - (1000000 - n) * interval '190 seconds', now(), CASE WHEN n % 10 < 6 THEN now() END
    FROM generate_series(1, $2) AS n
    """,
    """
    INSERT INTO order_lines (id, organisation, order_id, position, kind, reference, title, zone, quantity,
                             unit_price, total, participant_name, participant_email, ticket_number)
    SELECT gen_random_uuid(), $1, lpad(to_hex(1 + n * 2 / 3), 32, '0')::uuid, n % 3, 'seat', 'seat-' || n,
           'Row, seat ' || n,
           (ARRAY['Parterre','Balcony','Loge'])[1 + n % 3], 1, 26000, 26000, 'Guest ' || n,
           'guest' || n || '@example.org', (1000000 + n)::text
    FROM generate_series(0, $2 * 3 / 2 - 1) AS n
    """,
    """
    INSERT INTO payments (id, organisation, order_id, provider, reference, asked, currency, stage, amount, observed_at)
    SELECT gen_random_uuid(), $1, lpad(to_hex(n), 32, '0')::uuid, 'stripe', 'pi_' || n, 40000, 'UAH', 'received', 40000,
           now()
    FROM generate_series(1, $2) AS n WHERE n % 10 < 6
    """,
    """
    INSERT INTO ledger (transaction_id, organisation, order_id, account, amount, currency, why, at)
    SELECT gen_random_uuid(), $1, lpad(to_hex(n), 32, '0')::uuid, account, amount, 'UAH', 'order paid',
           now() - (1000000 - n) * interval '190 seconds'
    FROM generate_series(1, $2) AS n, (VALUES ('cash', 40000), ('buyer', -40000), ('buyer', 40000), ('sales', -40000))
         AS entry (account, amount)
    WHERE n % 10 < 6
    """,
    """
    INSERT INTO tally (organisation, subject, name, currency, entries, amount)
    SELECT organisation, 'stage', coalesce(stage, ''), currency, count(*), sum(paid - refunded) FROM orders
    GROUP BY 1, 3, 4
    UNION ALL
    SELECT organisation, 'account', account, currency, count(*), sum(amount) FROM ledger GROUP BY 1, 3, 4
    """,
)


async def fill(url: str, orders: int = ORDERS) -> None:
    """Makes the rows in the database of an owner's `url`, and lets PostgreSQL look at them."""
    connection = await asyncpg.connect(url)
    try:
        for statement in FILL:
            await connection.execute(statement) if "$" not in statement else await connection.execute(
                statement, ORGANISATION, orders, timeout=900
            )
        await connection.execute("VACUUM (ANALYZE)", timeout=900)
    finally:
        await connection.close()


Question = Callable[[AsyncSession], Awaitable[Any]]


async def _page(session: AsyncSession, **asked: Any) -> Any:
    """A page as the route answers it: its rows, and which customers have paid for the same already."""
    rows, cursor = await list_orders(session, ORGANISATION, Page(**asked))
    await already_paid(session, ORGANISATION, [order for order, _ in rows])
    return cursor


def _listed(**asked: Any) -> Question:
    return lambda session: _page(session, **asked)


def _later(sort: Sort) -> Question:
    """The page behind the second one."""

    async def ask(session: AsyncSession) -> Any:
        cursor = await _page(session, sort=sort, all=True)
        return await _page(session, sort=sort, all=True, cursor=cursor)

    return ask


def _totals(**asked: Any) -> Question:
    return lambda session: totals(session, ORGANISATION, Page(**asked))


QUESTIONS: dict[str, dict[str, Question]] = {
    "orders_1m_pages": {
        "default": _listed(),
        "all": _listed(all=True),
        **{sort.value: _later(sort) for sort in Sort},
    },
    "orders_1m_filters": {
        "show": _listed(show_id=BIG_SHOW),
        "stages": _listed(stage=[FunnelStage.INTERESTED, FunnelStage.CANCELLED]),
        "refunded": _listed(status=[PaymentStatus.MONEY_REFUNDED]),
        "zone": _listed(ticket="Loge"),
        "no such zone": _listed(ticket="Nowhere"),
        "refund due": _listed(refund_due=True),
        "customer": _listed(customer="client77@example.org"),
    },
    "orders_1m_search": {
        "name": _listed(search="Шевченко 7777", all=True),
        "common name": _listed(search="Шевченко", all=True),
        "number": _listed(search="N777123", all=True),
        "nobody": _listed(search="nobody at all", all=True),
        "guest": _listed(search="guest1234567@example.org", all=True),
        "reference": _listed(search="pi_777123", all=True),
    },
    "orders_1m_totals": {"all": _totals(), "show": _totals(show_id=BIG_SHOW)},
    "orders_1m_ledger": {"balances": lambda session: balances(session, ORGANISATION)},
}


async def million(names: list[str]) -> list[Figure]:
    """A row for each group of questions: of the slowest one the median, and how much of what is allowed it takes."""
    with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder)) as postgres:
            urls = await postgres.create_database("orders")
            await fill(postgres.url(urls.owner.rpartition("/")[2]))
            db = Database(Settings(database_api_url=urls.api, database_worker_url=urls.worker))
            try:
                return [await _slowest(db, name) for name in QUESTIONS if not names or name in names]
            finally:
                await db.close()


async def _slowest(db: Database, name: str) -> Figure:
    times = {question: await ask(db, work) for question, work in QUESTIONS[name].items()}
    for question, (median, p95) in times.items():
        print(f"{name:18} {question:12} {median:8.1f} ms, 95 % within {p95:8.1f} ms")
    ratios = {question: max(median / MEDIAN_MS, p95 / P95_MS) for question, (median, p95) in times.items()}
    worst = max(ratios, key=ratios.__getitem__)
    return Figure(name, round(times[worst][0], 1), f"ms ({worst})", MEDIAN_MS, round(ratios[worst], 3), 0.0, "<= 1")


async def ask(db: Database, question: Question) -> tuple[float, float]:
    """Milliseconds of a question: median and 95th percentile."""
    times: list[float] = []
    while len(times) < REPEATED and (len(times) < 2 or sum(times) < ENOUGH_MS):
        started = time.perf_counter()
        async with db.for_organisation(ORGANISATION) as session:
            await question(session)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]
