"""Requests are sent to whoever can answer them, and what all replicas share takes none of them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
from fastapi import APIRouter, Depends

from chassis.app import create_app
from chassis.edge import public
from chassis.health import once
from tests.chassis import probe
from tests.harness import Postgres, TokenMint, eventually, serve

Ask = Callable[[str], Awaitable[tuple[int, Any]]]

router = APIRouter()


@router.get("/thing", dependencies=[Depends(public())])
async def thing() -> dict[str, str]:
    return {"thing": "here"}


@asynccontextmanager
async def replica(postgres: Postgres, tokens: TokenMint) -> AsyncIterator[Ask]:
    """Of a service with relay, consumer and jobs, whose Kafka is away."""
    settings = probe.settings_for(await probe.create_database(postgres), auth_jwks=tokens.jwks)
    consumer = probe.consumer(f"probe-{uuid4().hex[:6]}")
    app = create_app(settings, title="probe", routers=[router], consumer=consumer)
    async with serve(app) as url, aiohttp.ClientSession() as http:

        async def ask(path: str) -> tuple[int, Any]:
            async with http.get(url + path) as answer:
                return answer.status, await answer.json()

        yield ask


async def test_a_replica_that_starts_while_kafka_is_away_serves_requests(postgres: Postgres, tokens: TokenMint) -> None:
    async with replica(postgres, tokens) as ask:
        assert await ask("/readyz") == (200, {"status": "ok", "parts": {"database": "ok", "keys": "ok"}})
        assert await ask("/thing") == (200, {"thing": "here"})
        status, body = await ask("/statusz")
        assert (status, body["parts"]["consumer"]) == (503, "not ready")


async def test_a_database_that_goes_away_takes_no_replica_out_of_service(
    own_postgres: Postgres, tokens: TokenMint
) -> None:
    async with replica(own_postgres, tokens) as ask:
        assert (await ask("/readyz"))[0] == 200
        own_postgres.kill()
        assert (await ask("/statusz"))[1]["parts"]["database"] != "ok"
        assert (await ask("/readyz"))[0] == 200
        assert (await ask("/thing"))[0] == 200
        own_postgres.start()

        async def well() -> bool:
            return bool((await ask("/statusz"))[1]["parts"]["database"] == "ok")

        await eventually(well, timeout=60)


async def test_a_start_is_not_over_before_everything_was_there_once() -> None:
    answers = [False, True, False]

    async def check() -> bool:
        return answers.pop(0)

    latched = once(check)
    assert [await latched() for _ in range(4)] == [False, True, True, True]
