"""`make alerts`: every alert fires on a real platform for its fault, reaches a person, and ends when it is mended.

One run with all faults, because a platform takes long to start; what does not disturb each other happens at once. How
a fault is mended is what docs/runbook.md says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.platform import Existing, Platform, Ports
from deploy.platform.processes import free_ports
from tests.alerts.faults import Faults
from tests.alerts.monitoring import PROGRAMS, Monitoring
from tests.alerts.rules import rules
from tests.notifications.servers import SmtpServer

BROKERS = 3
SETTINGS = {
    "gateway": {"RATE_PER_SECOND": "1000", "RATE_BURST": "2000"},
    "orders": {"PAYMENT_POLL_SECONDS": "1"},
    "crm": {"KAFKA_DEAD_LETTER_LIMIT": "5"},
    "notifications": {"LEASE_SECONDS": "3"},
}


@pytest.fixture
async def mail() -> AsyncIterator[SmtpServer]:
    server = SmtpServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def faults(mail: SmtpServer) -> AsyncIterator[Faults]:
    folder = Path(tempfile.mkdtemp(prefix="footlights-alerts-"))
    folder.chmod(0o755)
    ports = replace(Ports.free(BROKERS), kafka_metrics=tuple(free_ports(BROKERS)))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        platform = Platform(folder, ports, brokers=BROKERS, service_env=SETTINGS, existing=Existing(smtp=mail.url))
        await stack.enter_async_context(platform)
        watch = await stack.enter_async_context(Monitoring(platform, folder))
        yield await stack.enter_async_context(Faults.prepared(platform, watch, mail))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.skipif(None in PROGRAMS.values(), reason=f"not all installed (Debian): {', '.join(PROGRAMS)}")
async def test_every_alert_fires_for_its_fault_and_reaches_a_person(faults: Faults) -> None:
    await faults.nothing_fires()
    await faults.alerts_reach_a_person()
    await faults.together(
        faults.half_a_posting,
        faults.paid_twice,
        faults.another_currency,
        faults.seats_sold_elsewhere,
        faults.records_that_are_no_events,
        faults.an_event_of_the_next_release,
        faults.a_database_that_takes_no_connections,
        faults.an_event_that_kafka_refuses,
        faults.mail_server,
    )
    await faults.together(faults.an_order_that_nobody_can_decide, faults.connections, faults.a_right_that_is_missing)
    for fault in (
        faults.no_leader,
        faults.paid_and_captured_while_others_are_away,
        faults.slow_seats,
        faults.a_table_that_is_missing,
        faults.services_away,
        faults.brokers_away,
        faults.records_that_cannot_be_read,
        faults.postgres_away,
        faults.nobody_can_be_told,
    ):
        await faults.together(fault)
    assert faults.wrong == []
    assert faults.seen == {rule.name for rule in rules()}
