"""What is forgotten, on a real PostgreSQL."""

from __future__ import annotations

import importlib
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis import walls
from chassis.db import Database
from chassis.retention import Rule, forget, of_every_service, retention_job
from chassis.settings import ServiceSettings
from deploy.platform.ports import SERVICES
from tests.chassis import probe
from tests.harness import Postgres


async def ages(db: Database) -> list[int]:
    """Ages in days of what the inbox remembers."""
    async with db.as_worker() as session:
        days = text("SELECT extract(day FROM now() - handled_at)::int FROM inbox ORDER BY handled_at DESC")
        return list(await session.scalars(days))


async def remember(db: Database, *days: int) -> None:
    insert = text("INSERT INTO inbox VALUES ('probe', :id, now() - make_interval(days => :days, mins => 1))")
    async with db.as_worker() as session:
        await session.execute(insert, [{"id": uuid4(), "days": age} for age in days])


async def test_what_is_over_goes_in_batches_and_the_rest_stays(db: Database, settings: probe.Settings) -> None:
    await remember(db, 0, 34, 35, 36, 400)
    keep = text("INSERT INTO idempotency_key VALUES ('public:/', 'k', '', 200, '{}', '', now() - interval '8 days')")
    async with db.as_worker() as session:
        await session.execute(keep)
    inbox = of_every_service(settings)[0]
    assert [await forget(db, inbox, batch=2) for _ in range(3)] == [2, 1, 0]
    assert await ages(db) == [0, 34]
    job = retention_job(of_every_service(settings))
    assert [await job.run(db), await job.run(db)] == [1, 0]


async def test_an_erased_row_stays_without_what_it_said(db: Database) -> None:
    insert = text("INSERT INTO tally VALUES (:id, :organisation, :names)")
    mine = {"organisation": probe.ORGANISATION}
    async with db.as_worker() as session:
        await session.execute(insert, [{"id": uuid4(), "names": names, **mine} for names in (["Olena"], ["Ivan"], [])])
    rule = Rule("tally", 0, "names <> '{}' AND CAST(:before AS timestamptz) < now()", erase="names = '{}'")
    assert [await forget(db, rule), await forget(db, rule)] == [2, 0]
    async with db.as_worker() as session:
        assert list(await session.scalars(text("SELECT names FROM tally"))) == [[], [], []]


async def test_a_row_that_somebody_works_on_is_left_for_later(db: Database, settings: probe.Settings) -> None:
    await remember(db, 40, 41)
    rule = of_every_service(settings)[0]
    async with db.as_worker() as session:
        await session.execute(text("SELECT FROM inbox ORDER BY handled_at LIMIT 1 FOR UPDATE"))
        assert await forget(db, rule) == 1
    assert await forget(db, rule) == 1


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_can_forget_what_it_says_it_forgets(postgres: Postgres, service: str) -> None:
    """Its statements are right and its worker role may run them; the relay's upkeep deletes nothing beside."""
    kind: type[ServiceSettings] = importlib.import_module(f"services.{service}.settings").Settings
    urls = await postgres.create_database(service)
    settings = kind(**probe.settings_for(urls).model_dump(include={"database_api_url", "database_worker_url"}))
    rules = of_every_service(settings)
    if service not in ("crm", "reporting"):
        rules += importlib.import_module(f"services.{service}.retention").rules(settings)
    async with probe.database(settings) as db:
        assert await retention_job(rules).run(db) == 0
    await postgres.drop_database(urls)
    assert "DELETE FROM" not in "".join(walls.rotation(service))
