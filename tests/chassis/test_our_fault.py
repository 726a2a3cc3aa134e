"""What no record is to blame for makes no dead letter: the events wait until it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import exc

from chassis import metrics
from chassis.db import Database
from chassis.errors import is_no_records_fault, is_passing
from chassis.runner import ConsumerRunner
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.chassis.probe import changed, produce, record_of, running, tally
from tests.harness import Kafka, eventually


@pytest.fixture
async def owner(urls: DatabaseUrls) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(urls.owner)
    yield connection
    await connection.close()


def retries() -> float:
    return metrics.CONSUMER_RETRIES._value.get()


def dead() -> float:
    return sum(sample.value for sample in next(iter(metrics.DEAD_LETTERS.collect())).samples if "total" in sample.name)


async def waits_until(
    mended: str,
    owner: asyncpg.Connection[asyncpg.Record],
    db: Database,
    kafka: Kafka,
    settings: probe.Settings,
    group: str,
) -> None:
    """An event is tried again and again, and handled when the owner has run a statement."""
    customer, tried, letters = uuid4(), retries(), dead()
    await produce(kafka, [record_of(changed(customer, name)) for name in ("first", "second")])
    async with running(ConsumerRunner(probe.consumer(group), db, settings).run()):
        await eventually(lambda: retries() > tried + 1, timeout=90)
        await owner.execute(mended)
        await eventually(lambda: tally(db, customer), timeout=90)
    assert await tally(db, customer) == ["first", "second"]
    assert dead() == letters


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("ALTER TABLE tally RENAME COLUMN names TO titles", "ALTER TABLE tally RENAME COLUMN titles TO names"),
        ("ALTER TABLE tally RENAME TO tallies", "ALTER TABLE tallies RENAME TO tally"),
        (
            "ALTER TABLE tally ADD COLUMN added text NOT NULL DEFAULT ''; ALTER TABLE tally ALTER added DROP DEFAULT",
            "ALTER TABLE tally DROP COLUMN added",
        ),
        ("REVOKE INSERT ON tally FROM probe_worker", "GRANT INSERT ON tally TO probe_worker"),
    ],
    ids=["missing column", "missing table", "column to fill", "missing right"],
)
async def test_a_migration_that_is_late_kills_no_event(
    broken: str,
    mended: str,
    owner: asyncpg.Connection[asyncpg.Record],
    db: Database,
    kafka: Kafka,
    settings: probe.Settings,
    group: str,
) -> None:
    await owner.execute(broken)
    await waits_until(mended, owner, db, kafka, settings, group)


async def test_a_primary_that_became_a_standby_is_left_and_kills_no_event(
    owner: asyncpg.Connection[asyncpg.Record], db: Database, kafka: Kafka, settings: probe.Settings, group: str
) -> None:
    """Connections made until then are to a server that takes no changes; new ones lead to the new primary."""
    (name,) = await owner.fetchrow("SELECT current_database()")  # type: ignore[misc]
    setting = f'ALTER DATABASE "{name}" {{}} default_transaction_read_only'
    await owner.execute(setting.format("SET") + " = on")
    await waits_until(setting.format("RESET"), owner, db, kafka, settings, group)


class Failure(Exception):
    """As a driver raises it."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def failed(state: str) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT", {}, Failure(state))


def test_a_record_is_to_blame_for_what_it_says() -> None:
    """Such as a value that fits no column. See test_consumer for the dead letters that follow."""

    blamed = {
        state: not is_no_records_fault(failed(state))
        for state in ("22003", "23502", "23503", "23505", "23514", "42703", "42501", "28P01")
    }
    records = {"22003": True, "23503": True, "23505": True, "23514": True}
    assert blamed == {**records, "23502": False, "42703": False, "42501": False, "28P01": False}
    assert [is_passing(failed(state)) for state in ("40P01", "25006", "42703")] == [True, True, False]
    assert not is_no_records_fault(ValueError())
