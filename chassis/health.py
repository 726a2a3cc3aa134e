"""`/healthz`: the process lives. `/readyz`: requests may be sent to it. `/statusz`: how all its parts are.

Readiness depends on nothing that all replicas share and that may go away: if the database or Kafka did, all of them
would be taken out of service together, and nobody would get the answer that says so. Nor does it depend on the
consumer, which bad records can stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chassis.db import Database
from chassis.edge import public

CHECK_SECONDS = 3.0

Check = Callable[[], Awaitable[bool]]

router = APIRouter(dependencies=[Depends(public())], include_in_schema=False)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    return await _answer(request.app.state.ready)


@router.get("/statusz")
async def statusz(request: Request) -> JSONResponse:
    return await _answer(request.app.state.checks)


@router.get("/metrics")
async def exposition() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def database_check(db: Database) -> bool:
    async with db.as_worker() as session:
        return bool(await session.scalar(text("SELECT true")))


def once(check: Check) -> Check:
    """What was true once is not asked again: a start is not over before it, and it says nothing of a replica later."""
    passed = False

    async def latched() -> bool:
        nonlocal passed
        passed = passed or await check()
        return passed

    return latched


async def _answer(checks: dict[str, Check]) -> JSONResponse:
    results = await asyncio.gather(*(_run(check) for check in checks.values()))
    parts = dict(zip(checks, results, strict=True))
    ready = all(result == "ok" for result in parts.values())
    return JSONResponse({"status": "ok" if ready else "not ready", "parts": parts}, 200 if ready else 503)


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return "ok" if await check() else "not ready"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
