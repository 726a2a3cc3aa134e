"""A database for each service, with its three roles: owner (migrations), api (under row-level security) and worker."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from chassis import postgres, walls
from deploy.platform.processes import StartFailed

KINDS = ("owner", "api", "worker")


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """How a service reaches its database, one URL per role."""

    owner: str
    api: str
    worker: str

    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.owner, "DATABASE_API_URL": self.api, "DATABASE_WORKER_URL": self.worker}


def development_password(role: str) -> str:
    """The password of a role on a server that only this machine can reach."""
    return f"development-only-{role.replace('_', '-')}"


async def create_service_database(
    superuser_url: str,
    service: str,
    *,
    database: str | None = None,
    template: str | None = None,
    password: Callable[[str], str] = development_password,
) -> DatabaseUrls:
    """Create what is missing: the roles, the database, and what the roles may do in it. Repeating it is harmless.

    Tables, sequences and functions that the owner makes later are usable by both other roles; row-level security
    is the migrations' affair.
    """
    database = database or f"footlights_{service}"
    connection = await postgres.connect(superuser_url)
    try:
        for kind in KINDS:
            await _create_role(connection, f"{service}_{kind}", password(f"{service}_{kind}"))
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            source = f' TEMPLATE "{template}"' if template else ""
            await connection.execute(f'CREATE DATABASE "{database}" OWNER {service}_owner{source}')
        roles = ", ".join(f"{service}_{kind}" for kind in KINDS)
        await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
        await connection.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO {roles}')
    finally:
        await connection.close()
    inside = await postgres.connect(_with_path(superuser_url, database))
    try:
        await inside.execute(f"ALTER SCHEMA public OWNER TO {service}_owner")
        await grant(inside, service, f"{service}_owner")
    finally:
        await inside.close()
    urls = {kind: _with_role(superuser_url, f"{service}_{kind}", password, database) for kind in KINDS}
    return DatabaseUrls(**urls)


async def adopt_database(owner_url: str, service: str, secret: str) -> DatabaseUrls:
    """A database on a server of yours, given by its owner's URL: creates the two other roles if the owner may.

    DATABASE_API_URL_<SERVICE> and DATABASE_WORKER_URL_<SERVICE> name roles that exist already. Row-level security
    speaks of the roles <service>_api and <service>_worker, so those are their names.
    """
    name = service.upper()
    api, worker = os.environ.get(f"DATABASE_API_URL_{name}"), os.environ.get(f"DATABASE_WORKER_URL_{name}")
    if api and worker:
        return DatabaseUrls(owner_url, api, worker)
    try:
        connection = await postgres.connect(owner_url)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise StartFailed("postgres", f"DATABASE_URL_{name}: {error}", remedy="correct it, or unset it") from error
    try:
        for kind in ("api", "worker"):
            await _create_role(connection, f"{service}_{kind}", secret)
        owner = await connection.fetchval("SELECT quote_ident(current_user)")
        await grant(connection, service, owner)
    except asyncpg.InsufficientPrivilegeError as error:
        remedy = (
            f"let an administrator run: CREATE ROLE {service}_api LOGIN PASSWORD '...'; "
            f"CREATE ROLE {service}_worker LOGIN PASSWORD '...'; "
            f"and set DATABASE_API_URL_{name} and DATABASE_WORKER_URL_{name}"
        )
        raise StartFailed("postgres", f"DATABASE_URL_{name}: {error}", remedy=remedy) from error
    finally:
        await connection.close()
    database = urlsplit(owner_url).path.lstrip("/")
    roles = [_with_role(owner_url, f"{service}_{kind}", lambda _: secret, database) for kind in ("api", "worker")]
    return DatabaseUrls(owner_url, *roles)


async def grant(connection: asyncpg.Connection[asyncpg.Record], service: str, owner: str) -> None:
    """What api and worker may do with everything that the owner has made and will make."""
    users = f"{service}_api, {service}_worker"
    rights = (
        ("SELECT, INSERT, UPDATE, DELETE", "TABLES"),
        ("USAGE, SELECT, UPDATE", "SEQUENCES"),
        ("EXECUTE", "FUNCTIONS"),
    )
    await connection.execute(f"GRANT USAGE ON SCHEMA public TO {users}")
    for right, kind in rights:
        await connection.execute(f"GRANT {right} ON ALL {kind} IN SCHEMA public TO {users}")
        await connection.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT {right} ON {kind} TO {users}"
        )
    await connection.execute(walls.rights(service))


async def drop_database(superuser_url: str, database: str) -> None:
    """Drop a throw-away database, ending its connections."""
    connection = await postgres.connect(superuser_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
    finally:
        await connection.close()


async def _create_role(connection: asyncpg.Connection[asyncpg.Record], role: str, password: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        with contextlib.suppress(asyncpg.DuplicateObjectError):
            await connection.execute(f"CREATE ROLE {role} LOGIN NOINHERIT")
    quoted = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f"ALTER ROLE {role} PASSWORD {quoted}")


def _with_path(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _with_role(url: str, role: str, password: Callable[[str], str], database: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password(role)}@{host}", path=f"/{database}"))
