"""Faults as they happen to an installation, each with the alerts that it must raise and the way to mend it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import SEEK_END
from typing import Any

import asyncpg
from confluent_kafka.admin import NewTopic

from chassis import dead_letters
from deploy.demo.client import HELD_CARD, Client
from deploy.platform import topics
from tests.alerts.installation import Installation
from tests.harness import eventually

CONSUMERS = ("crm", "notifications", "reporting", "ticketing")
"""Those that read `orders.order`."""
BEHIND = 7000
"""More records than a consumer may be behind, and a batch on top."""


class Faults(Installation):
    """Each raises its alerts, and is mended as the runbook says."""

    async def alerts_reach_a_person(self) -> None:
        await eventually(lambda: self.watch.mail.to("heartbeat@footlights.example"), timeout=60)
        self.seen.add("Watchdog")

    # Money.

    async def half_a_posting(self) -> None:
        async with self.database("orders") as orders:
            await orders.execute("SET session_replication_role = replica")
            half = await orders.fetchval("""
                INSERT INTO ledger (transaction_id, organisation, order_id, account, amount, currency, why)
                SELECT gen_random_uuid(), organisation, order_id, account, 1, currency, why FROM ledger LIMIT 1
                RETURNING id
            """)
            await self.fires("LedgerUnbalanced")
            await eventually(lambda: self._told("on-call", "LedgerUnbalanced"), timeout=60)
            await orders.execute("DELETE FROM ledger WHERE id = $1", half)

    async def paid_twice(self) -> None:
        async with Client(self.platform.gateway) as client:
            await self.usual.pay_twice(client, self.person(), "pays twice at once", self.usual.some(1))
        await self.fires("PaidTwice")

    async def another_currency(self) -> None:
        async with Client(self.platform.gateway) as client, self.database("orders") as orders:
            purchase = await self.order(client)
            change = "UPDATE orders SET currency = $2 WHERE id = $1"
            assert await orders.execute(change, purchase.order_id, "EUR") == "UPDATE 1"
            await client.pay_by_card(purchase.page)
            await self.fires("WrongCurrency")
            await orders.execute(change, purchase.order_id, "UAH")

    async def an_order_that_nobody_can_decide(self) -> None:
        """Somebody has left a transaction open that holds its row."""
        async with Client(self.platform.gateway) as client, self.database("orders") as orders:
            purchase = await self.order(client, self.short)
            async with orders.transaction():
                await orders.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", purchase.order_id)
                await self.fires("DeadlinesMissed")
                await self.fires("PostgresLongTransaction", datname="footlights_orders")
        await self.watch.ends("DeadlinesMissed")

    async def paid_and_captured_while_others_are_away(self) -> None:
        """Tickets cannot be issued; then the card provider is away while it is asked for three things."""
        async with Client(self.platform.gateway) as client:
            refunded = await self.buy()
            paid, held, given_up = [await self.order(client) for _ in range(3)]
            await self.platform.kill("ticketing")
            await client.pay_by_card(paid.page)
            await client.pay_by_card(held.page, HELD_CARD)
            await self.fires("PaidWithoutTickets")
            await self.platform.kill("sandbox")
            await self.platform.start("ticketing")
            await self.usual.act(client, given_up, "cancel", {"reason": "changed my mind"}, as_buyer=True)
            await self.usual.act(self.staff, refunded, "refunds", {"reason": "fell ill"})
            for alert in ("RefundsWait", "CapturesWait", "PagesStayOpen"):
                await self.fires(alert)
            await self.platform.start("sandbox")
        for alert in ("PaidWithoutTickets", "RefundsWait", "CapturesWait", "PagesStayOpen"):
            await self.watch.ends(alert)

    # Seats.

    async def seats_sold_elsewhere(self) -> None:
        """A card page is paid when the order has expired and somebody else has the seats."""
        async with Client(self.platform.gateway) as client, Client(self.platform.gateway) as rival:
            late = await self.order(client, self.short)
            await self.short.until(client, late, lambda order: order["stage"] == "cancelled")
            taken, held = await self.short.take_over(rival, self.person(), late.seats)
            await self.short.checkout(rival, taken, held)
            await rival.pay_by_card(taken.page)
            await client.pay_by_card(late.page)
        await self.fires("SeatsSoldElsewhere")

    async def slow_seats(self) -> None:
        """A table is locked for a second and a half, again and again."""
        async with Client(self.platform.gateway) as client, self.database("ticketing") as ticketing:

            async def hold() -> None:
                while True:
                    await self.usual.hold(client, self.person(), "waits", self.usual.some(1))

            async def lock() -> None:
                while True:
                    async with ticketing.transaction():
                        await ticketing.execute("LOCK TABLE hold IN ACCESS EXCLUSIVE MODE")
                        await asyncio.sleep(1.5)
                    await asyncio.sleep(0.1)

            async with _beside(hold(), lock()):
                await self.fires("HoldsWait")
                await self.fires("SlowAnswers", job="ticketing")
        await self.watch.ends("HoldsWait")

    # Events.

    async def records_that_are_no_events(self) -> None:
        await self.send("orders.order", [b"no event of ours"])
        for service in CONSUMERS:
            await self.fires("DeadLetters", job=service)
        await self.send("accounts.account", [b"nor is this"] * 9)
        await self.fires("ConsumerStopped", job="crm")
        await dead_letters.resume(self.url("footlights_crm"), "crm", allowed=100)
        await self.watch.ends("ConsumerStopped")

    async def an_event_of_the_next_release(self) -> None:
        """Kept until staff say that the release will not come."""
        content, headers = await self.a_record()
        new = "orders.payment.dreamt_of.v1"
        await self.send("orders.payment", [(content, [(k, new.encode() if k == "ce_type" else v) for k, v in headers])])
        for service in ("notifications", "reporting"):
            await self.fires("EventsParked", job=service)
            assert await dead_letters.give_up_parked(self.url(f"footlights_{service}"), service, new) == 1
        await self.watch.ends("EventsParked")

    async def a_database_that_takes_no_connections(self) -> None:
        async with self.database("reporting") as reporting:
            await reporting.execute("ALTER ROLE reporting_worker CONNECTION LIMIT 0")
            await reporting.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reporting_worker'"
            )
            await self.buy()
            await self.send("orders.payment", [await self.a_record()] * BEHIND)
            await self.fires("BatchesRetried", job="reporting")
            await self.fires("ConsumerBehind", job="reporting")
            await reporting.execute("ALTER ROLE reporting_worker CONNECTION LIMIT -1")
        await self.watch.ends("ConsumerBehind")

    async def an_event_that_kafka_refuses(self) -> None:
        await self.configure("orders.offer", "max.message.bytes", "100")
        price = {"minor": 150_000, "currency": "UAH"}
        offer = {"kind": "course", "sku": "C-1", "name": "Курс", "price": price}
        await self.staff.ask("POST", "/api/orders/offers", offer)
        await self.fires("EventsRefused", job="orders")
        await self.configure("orders.offer", "max.message.bytes", "1048588")

    # Messages.

    async def mail_server(self) -> None:
        await self.mail.stop()
        await self.buy()
        await self.fires("MessagesLate")
        await self.mail.start()
        await self.watch.ends("MessagesLate")

        self.mail.gate = asyncio.Event()
        before = self.mail.receiving
        await self.buy()
        await eventually(lambda: self.mail.receiving > before, timeout=60)
        await self.platform.kill("notifications")
        self.mail.gate.set()
        self.mail.gate = None
        await self.platform.start("notifications")
        await self.fires("MessagesUncertain")

        self.mail.rcpt = ["550 5.7.1 your network is blocked"] * 100
        for _ in range(3):
            await self.buy(seats=2)
        await self.fires("MessagesFail")
        self.mail.rcpt = []

    # What everything stands on.

    async def connections(self) -> None:
        """Somebody forgets to close what they opened."""
        async with self.database("postgres") as postgres:
            limit = int(await postgres.fetchval("SHOW max_connections"))
            taken = await postgres.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
            opened = [await asyncpg.connect(self.url("postgres")) for _ in range(int(limit * 0.83) - taken)]
            try:
                await self.fires("PostgresConnections")
            finally:
                await asyncio.gather(*(one.close() for one in opened))
        await self.watch.ends("PostgresConnections")

    async def a_table_that_is_missing(self) -> None:
        async with self.database("orders") as orders:
            await orders.execute("ALTER TABLE refunds RENAME TO refunds_elsewhere")
            order = self.usual.purchases[0].order_id

            async def look() -> None:
                while True:
                    async with self.staff._http.get(f"{self.staff.gateway}/api/orders/orders/{order}"):
                        await asyncio.sleep(0.2)

            try:
                async with _beside(look()):
                    await self.fires("ManyErrors", job="orders")
                    await self.fires("ClientsSeeErrors")
                    await self.fires("JobFails", job="orders", exported_job="refunds")
            finally:
                await orders.execute("ALTER TABLE refunds_elsewhere RENAME TO refunds")
        for alert in ("ManyErrors", "ClientsSeeErrors", "JobFails"):
            await self.watch.ends(alert)

    async def services_away(self) -> None:
        async with Client(self.platform.gateway) as client:
            await self.short.hold(client, self.person(), "waits", self.short.some(1))
        for service in ("crm", "orders"):
            await self.platform.kill(service)

        async def ask() -> None:
            while True:
                async with self.staff._http.get(f"{self.staff.gateway}/api/crm/customers"):
                    await asyncio.sleep(0.2)

        async with _beside(ask()):
            await self.fires("ServiceUnreachable", service="crm")
            await self.fires("ServiceDown", job="crm")
            await self.fires("ReplicaDown", job="crm")
            await self.fires("LedgerUnknown")
            await self.fires("HoldsLapsed")
        for service in ("crm", "orders"):
            await self.platform.start(service)
        for alert in ("ServiceUnreachable", "ServiceDown", "ReplicaDown", "LedgerUnknown", "HoldsLapsed"):
            await self.watch.ends(alert)

    async def a_right_that_is_missing(self) -> None:
        async with self.database("crm") as crm:
            await crm.execute("REVOKE EXECUTE ON FUNCTION footlights_rotate FROM crm_worker, PUBLIC")
            await self.platform.kill("crm")
            await self.platform.start("crm")
            await self.fires("HousekeepingFails", job="crm")
            await crm.execute("GRANT EXECUTE ON FUNCTION footlights_rotate TO crm_worker")
        await self.watch.ends("HousekeepingFails")

    async def no_leader(self) -> None:
        """Somebody has the lease of the relay and does nothing with it."""
        async with self.database("crm") as crm:
            await crm.execute("""
                UPDATE lease SET epoch = epoch + 1, backend = pg_backend_pid(), expires_at = now() + interval '1 hour'
                WHERE name = 'relay'
            """)
            await self.fires("NoRelay", job="crm")
            await crm.execute("UPDATE lease SET expires_at = '-infinity' WHERE name = 'relay'")
        await self.watch.ends("NoRelay")

    async def brokers_away(self) -> None:
        """One of three, with a partition that only it has; then two, which leaves no quorum."""
        cluster = self.platform.kafka
        assert cluster is not None
        async with topics.administration(cluster.bootstrap_servers) as admin:
            await topics.done(admin.create_topics([NewTopic("alone", num_partitions=1, replica_assignment=[[3]])]))
        await asyncio.to_thread(cluster.kill, 3)
        await self.fires("KafkaUnderReplicated")
        await self.fires("KafkaPartitionsOffline")
        await asyncio.to_thread(cluster.kill, 2)
        await self.fires("KafkaNoController")
        async with Client(self.platform.gateway) as client:
            await self.usual.hold(client, self.person(), "waits", self.usual.some(1))
        await self.fires("EventsNotPublished", job="ticketing")
        await self.platform.start("kafka")
        for alert in ("KafkaUnderReplicated", "KafkaPartitionsOffline", "KafkaNoController", "EventsNotPublished"):
            await self.watch.ends(alert)

    async def records_that_cannot_be_read(self) -> None:
        """Disks have changed a byte: whoever reads the record fails, is made anew, and fails again."""
        cluster = self.platform.kafka
        assert cluster is not None
        await self.platform.kill("reporting")
        await self.send("orders.payment", [await self.a_record()] * 200)

        def spoil() -> None:
            for log in cluster.data.glob("broker-*/storage/orders.payment-*/00000000000000000000.log"):
                if log.stat().st_size:
                    with log.open("r+b") as file:
                        file.seek(-1, SEEK_END)
                        (byte,) = file.read(1)
                        file.seek(-1, SEEK_END)
                        file.write(bytes([byte ^ 0xFF]))

        spoil()
        await self.platform.start("reporting")
        try:
            await self.fires("ConsumerFails", job="reporting")
        finally:
            spoil()
        await self.watch.ends("ConsumerFails")

    async def postgres_away(self) -> None:
        await self.platform.stop("postgres")
        await self.fires("PostgresDown")
        await self.platform.start("postgres")
        await self.watch.ends("PostgresDown")

    async def nobody_can_be_told(self) -> None:
        await self.watch.mail.stop()
        await self.fires("AlertsNotDelivered")
        await self.watch.mail.start()
        await self.watch.ends("AlertsNotDelivered")


@asynccontextmanager
async def _beside(*work: Any) -> AsyncIterator[None]:
    """Lets work go on for as long as the block takes."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
