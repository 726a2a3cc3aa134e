"""The second wall: what the api role cannot do, whatever a query of it forgets."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from chassis import outbox, walls
from deploy.platform.ports import SERVICES
from tests.chassis import probe
from tests.harness import Postgres

RIGHTS = """
    SELECT c.relname, string_agg(wanted.privilege, ' ' ORDER BY wanted.privilege)
    FROM pg_class c
    CROSS JOIN unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS wanted (privilege)
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
      AND (c.relname IN ('outbox', 'outbox_failed', 'inbox', 'forgotten', 'idempotency_key', 'lease', 'parked')
           OR c.relname IN ('resumption', 'alembic_version') OR c.relname LIKE 'outbox\\_published%')
      AND has_table_privilege($1, c.oid, wanted.privilege)
    GROUP BY c.relname
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_the_api_role_of_every_service_has_no_more_rights_than_it_needs(postgres: Postgres, service: str) -> None:
    urls = await postgres.create_database(service)
    connection = await asyncpg.connect(urls.owner)
    try:
        api = f"{service}_api"
        rights = {row[0]: row[1] for row in await connection.fetch(RIGHTS, api)}
        assert rights == {"outbox": "INSERT", "idempotency_key": "INSERT SELECT UPDATE"}
        function = "footlights_rotate(interval, interval)"
        assert not await connection.fetchval("SELECT has_function_privilege($1, $2, 'EXECUTE')", api, function)
        assert await connection.fetchval(
            "SELECT has_function_privilege($1, $2, 'EXECUTE')", f"{service}_worker", function
        )
    finally:
        await connection.close()


async def test_new_partitions_of_published_events_are_closed_too(postgres: Postgres) -> None:
    urls = await probe.create_database(postgres)
    connection = await asyncpg.connect(urls.owner)
    try:
        for (name,) in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname LIKE 'outbox\\_published\\_2%' AND relkind = 'r'"
        ):
            await connection.execute(f"DROP TABLE {name}")
        worker = await asyncpg.connect(urls.worker)
        await worker.execute("SELECT footlights_rotate('1 hour')")
        await worker.close()
        assert set(dict(await connection.fetch(RIGHTS, "probe_api"))) == {"outbox", "idempotency_key"}
    finally:
        await connection.close()


async def test_an_event_is_added_but_not_read_by_the_api_role(postgres: Postgres) -> None:
    urls = await probe.create_database(postgres)
    async with probe.database(probe.settings_for(urls)) as db:
        async with db.for_organisation(uuid4()) as session:
            outbox.add(session, probe.changed(uuid4(), "Olena"), organisation=uuid4())
        async with db.as_worker() as session:
            assert await session.scalar(text("SELECT count(*) FROM outbox")) == 1
        for statement in ("SELECT * FROM outbox", "DELETE FROM outbox", "SELECT * FROM inbox"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                async with db.for_organisation(uuid4()) as session:
                    await session.execute(text(statement))


async def test_stored_answers_are_seen_by_their_owner_only(postgres: Postgres) -> None:
    urls = await probe.create_database(postgres)
    organisation, account = uuid4(), uuid4()
    owners = {str(organisation): (organisation, account), str(account): (None, account), "public": (None, None)}
    keep = text("INSERT INTO idempotency_key (scope, key, request_hash) VALUES (:scope, 'k', '')")
    async with probe.database(probe.settings_for(urls)) as db:
        for owner, caller in owners.items():
            async with db.for_organisation(*caller) as session:
                await session.execute(keep, {"scope": f"{owner}:/orders"})
        for owner, caller in owners.items():
            async with db.for_organisation(*caller) as session:
                found = list(await session.scalars(text("SELECT scope FROM idempotency_key")))
            assert found == [f"{owner}:/orders"]
        with pytest.raises(ProgrammingError, match="row-level security"):
            async with db.for_organisation(organisation) as session:
                await session.execute(keep, {"scope": f"{uuid4()}:/orders"})


VIEWS = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'seen'::regnamespace AND has_table_privilege($1, c.oid, 'SELECT')
      AND NOT has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE')
"""


@pytest.mark.parametrize("service", SERVICES)
async def test_what_the_api_role_reads_by_views_has_the_same_wall(postgres: Postgres, service: str) -> None:
    urls = await postgres.create_database(service)
    owner, api = await asyncpg.connect(urls.owner), await asyncpg.connect(urls.api)
    try:
        views = {name for (name,) in await owner.fetch(VIEWS, f"{service}_api")}
        owned = await owner.fetch("""
            SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organisation'
            WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
        """)
        assert views == {name for (name,) in owned}
        for view in views:
            definition = await owner.fetchval("SELECT pg_get_viewdef(to_regclass('seen.' || quote_ident($1)))", view)
            assert "current_setting('footlights.organisation'" in definition
            assert await api.fetchval(f'SELECT count(*) FROM seen."{view}"') == 0
    finally:
        await owner.close()
        await api.close()


async def test_a_view_shows_the_callers_rows_alone_and_follows_its_table(postgres: Postgres) -> None:
    urls = await postgres.create_database("orders")
    mine, foreign = uuid4(), uuid4()
    owner, api = await asyncpg.connect(urls.owner), await asyncpg.connect(urls.api)
    try:
        for organisation in (mine, foreign):
            await owner.execute(
                "INSERT INTO organisations (organisation, slug, name, currency, locale, phone_region, version) "
                "VALUES ($1, $2, 'Theatre', 'UAH', 'uk', 'UA', 1)",
                organisation,
                str(organisation),
            )
        assert await api.fetch("SELECT organisation FROM seen.organisations") == []
        await api.execute("SELECT set_config('footlights.organisation', $1, false)", str(mine))
        assert [row[0] for row in await api.fetch("SELECT organisation FROM seen.organisations")] == [mine]
        await owner.execute("ALTER TABLE organisations ADD COLUMN motto text DEFAULT 'curtain up'")
        for _ in range(2):
            await owner.execute(walls.views("orders"))
            assert await api.fetchval("SELECT motto FROM seen.organisations") == "curtain up"
    finally:
        await owner.close()
        await api.close()
