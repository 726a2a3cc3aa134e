"""The databases that the PostgreSQL container makes are those of `make up`, right for right."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import asyncpg

from deploy.platform.databases import KINDS, create_service_database
from deploy.platform.ports import SERVICES
from deploy.platform.postgres import BINARIES, PASSWORD, SUPERUSER
from tests.harness import ROOT, Postgres, migrate_database

SCRIPT = ROOT / "deploy" / "docker" / "postgres" / "10-databases.sh"

INSIDE = """
    SELECT 'schema' AS what, nspowner::regrole::text || ' ' || (
        SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(nspacl) AS item) AS rights
    FROM pg_namespace WHERE nspname = 'public'
    UNION ALL
    SELECT 'default ' || defaclobjtype::text, defaclrole::regrole::text || ' ' || (
        SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(defaclacl) AS item)
    FROM pg_default_acl
    ORDER BY 1, 2
"""
ROLES = """
    SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls
    FROM pg_roles WHERE rolname ~ '_(owner|api|worker)$' ORDER BY 1
"""
DATABASES = """
    SELECT datname, datdba::regrole::text,
           (SELECT string_agg(item::text, ' ' ORDER BY item::text) FROM unnest(datacl) AS item)
    FROM pg_database WHERE datname LIKE 'footlights\\_%' ORDER BY 1
"""


async def rights(server: Postgres) -> dict[str, Any]:
    """Everything that is granted on a server, to compare."""
    connection = await asyncpg.connect(server.url())
    try:
        found: dict[str, Any] = {
            "roles": [tuple(row) for row in await connection.fetch(ROLES)],
            "databases": [tuple(row) for row in await connection.fetch(DATABASES)],
        }
    finally:
        await connection.close()
    for service in SERVICES:
        inside = await asyncpg.connect(server.url(f"footlights_{service}"))
        try:
            found[service] = [tuple(row) for row in await inside.fetch(INSIDE)]
        finally:
            await inside.close()
    return found


def initialise(server: Postgres) -> None:
    """What the container's entry point does with a new volume."""
    environment = {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.server.port),
        "PGPASSWORD": PASSWORD,
        "POSTGRES_USER": SUPERUSER,
        "POSTGRES_DB": "postgres",
    }
    done = subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_the_same_roles_databases_and_rights(own_postgres: Postgres) -> None:
    initialise(own_postgres)
    container = await rights(own_postgres)
    connection = await asyncpg.connect(own_postgres.url())
    for service in SERVICES:
        await connection.execute(f"DROP DATABASE footlights_{service}")
    for service in SERVICES:
        for kind in KINDS:
            await connection.execute(f"DROP ROLE {service}_{kind}")
    await connection.close()
    urls = [await create_service_database(own_postgres.url(), service) for service in SERVICES]
    assert await rights(own_postgres) == container
    assert len(urls) == len(SERVICES)


async def test_every_service_migrates_there(own_postgres: Postgres) -> None:
    """With the passwords that docker-compose.yml gives it, as its own owner."""
    from deploy.platform.databases import DatabaseUrls
    from tests.deploy.compose import PARTS

    initialise(own_postgres)
    for service in SERVICES:
        given = PARTS[f"migrate-{service}"]["environment"]["DATABASE_URL"]
        here = given.replace("@postgres:5432", f"@127.0.0.1:{own_postgres.server.port}")
        await migrate_database(service, DatabaseUrls(here, here, here))
        worker = PARTS[service]["environment"]["DATABASE_WORKER_URL"]
        connection = await asyncpg.connect(worker.replace("@postgres:5432", f"@127.0.0.1:{own_postgres.server.port}"))
        assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
        await connection.close()
