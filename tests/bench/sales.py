"""Holds over HTTP, directly and through the gateway, and whole orders, against pgbench doing the least a hold must do.

pgbench runs 32 clients on the same server with fsync on; client, services and database share the same processors.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
from uuid_utils.compat import uuid4, uuid7

from deploy.demo.client import Client
from deploy.demo.venue import EMAIL, ONE_ADDRESS, PASSWORD, found_organisation, open_show, scratch
from deploy.platform import SERVICES, Platform
from deploy.platform.postgres import BINARIES
from tests.bench import wire
from tests.bench.figures import Figure, Measured, compare

ROUNDS = 5
SEATS = 12_000
WARM = 300
HOLDS = {1: 400, 8: 2_000, 64: 6_000}
GOALS = {"hold_direct_64": ">= 0.3", "hold_gateway_64": ">= 0.15"}
LIKE_DIRECT = {"hold_area_64": ">= 0.8", "hold_best_64": ">= 0.5"}
"""A place of one area each, and the best two seats, against a named seat each (`hold_direct_64`) in the same round."""
DIRECT = "hold_direct_64"
BEST = 4_000
ORDER = "order"
SALES = (*(f"hold_{way}_{at_once}" for way in ("direct", "gateway") for at_once in HOLDS), *LIKE_DIRECT, ORDER)
ORDERS = 48
ORDERS_AT_ONCE = 8
PGBENCH_CLIENTS = 32
PGBENCH_SECONDS = 4

PGBENCH_TABLES = """
    CREATE TABLE held (show int, seat int, hold uuid NOT NULL, until timestamptz NOT NULL, PRIMARY KEY (show, seat));
    CREATE TABLE hold (id uuid PRIMARY KEY, show int NOT NULL, seats int[] NOT NULL, until timestamptz NOT NULL);
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text, key bytea, value bytea);
"""
PGBENCH_SCRIPT = r"""
\set seat random(1, 12000)
WITH wanted AS (SELECT gen_random_uuid() AS id),
taken AS (
    INSERT INTO held SELECT 1, (:seat)::int, id, clock_timestamp() FROM wanted
    ON CONFLICT (show, seat) DO UPDATE SET hold = excluded.hold, until = excluded.until
    WHERE held.until <= clock_timestamp() RETURNING hold
), placed AS (INSERT INTO hold SELECT hold, 1, ARRAY[(:seat)::int], clock_timestamp() FROM taken),
published AS (
    INSERT INTO outbox (topic, key, value)
    SELECT 'ticketing.hold', convert_to(hold::text, 'UTF8'), convert_to(repeat('x', 600), 'UTF8') FROM taken
)
SELECT count(*) FROM taken;
"""


async def sales(names: list[str]) -> list[Figure]:
    """All figures of this module, or those named.

    Holds are measured with nothing but gateway and ticketing running: what other services make of a hold afterwards
    is work for other machines.
    """
    wanted = [name for name in SALES if not names or name in names]
    holds = [name for name in wanted if name != ORDER]
    if DIRECT not in holds and not LIKE_DIRECT.keys().isdisjoint(holds):
        holds.insert(0, DIRECT)
    figures = await _measure(holds, "holds/s", ("gateway", "ticketing")) if holds else []
    return figures + (await _measure([ORDER], "orders/s", SERVICES) if ORDER in wanted else [])


async def _measure(names: list[str], unit: str, services: Sequence[str]) -> list[Figure]:
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform(scratch(stack), service_env=ONE_ADDRESS, services=services))
        await found_organisation(platform)
        staff = await stack.enter_async_context(Client(platform.gateway))
        await staff.sign_in(EMAIL, PASSWORD)
        works = _works(platform, staff)
        limits: list[Measured] = []
        measured: dict[str, list[Measured]] = {name: [] for name in names}
        for _ in range(ROUNDS):
            limits.append(await _pgbench(platform))
            for name, rounds in measured.items():
                rounds.append(await works[name]())
    figures = [
        compare(name, unit, rounds, limits, GOALS.get(name, ""))
        for name, rounds in measured.items()
        if name not in LIKE_DIRECT
    ]
    return figures + [
        compare(name, unit, measured[name], measured[DIRECT], goal)
        for name, goal in LIKE_DIRECT.items()
        if name in measured
    ]


def _works(platform: Platform, staff: Client) -> dict[str, Callable[[], Awaitable[Measured]]]:
    ways = {
        "direct": (platform.urls["ticketing"], ("ticketing",)),
        "gateway": (platform.gateway + "/api/ticketing", ("gateway", "ticketing")),
    }
    works: dict[str, Callable[[], Awaitable[Measured]]] = {
        f"hold_{way}_{at_once}": partial(_holds, staff, url, services, at_once, count)
        for way, (url, services) in ways.items()
        for at_once, count in HOLDS.items()
    }
    direct, services = ways["direct"]
    works["hold_area_64"] = partial(_holds, staff, direct, services, 64, HOLDS[64], _place)
    works["hold_best_64"] = partial(_holds, staff, direct, services, 64, BEST, _two)
    return {**works, ORDER: partial(_orders, staff)}


async def _pgbench(platform: Platform) -> Measured:
    """The limit: holds a second of one statement each."""
    if platform.postgres is None:
        raise RuntimeError("the limit is measured on the platform's own server")
    database = f"bench_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(platform.postgres.url())
    await connection.execute(f'CREATE DATABASE "{database}"')
    await connection.close()
    url = platform.postgres.url(database)
    connection = await asyncpg.connect(url)
    await connection.execute(PGBENCH_TABLES)
    await connection.close()
    parts = urlsplit(url)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PGBENCH_SCRIPT)
        script.flush()
        command = [str(BINARIES / "pgbench"), "-n", "-M", "prepared", "-f", script.name]
        command += ["-c", str(PGBENCH_CLIENTS), "-j", "2", "-T", str(PGBENCH_SECONDS)]
        command += ["-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username), database]
        environment = {**os.environ, "PGPASSWORD": str(parts.password)}
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=True
        )
    rate = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))
    return Measured(rate, 0.0)


Wanted = Callable[[int, Any], dict[str, Any]]
"""What the request of a number asks for in a show."""


def _seat(number: int, show: Any) -> dict[str, Any]:
    return {"seats": [f"seat-{number}"]}


def _place(number: int, show: Any) -> dict[str, Any]:
    return {"items": [{"item": show["price_zones"][0]["areas"][0]["area_id"]}]}


def _two(number: int, show: Any) -> dict[str, Any]:
    return {"best": {"quantity": 2}}


async def _holds(
    staff: Client, url: str, services: Sequence[str], at_once: int, count: int, wanted: Wanted = _seat
) -> Measured:
    """`count` holds on a fresh show, by `at_once` connections that each wait for their answer.

    The processor time is that of `services`.
    """
    _, show = await open_show(staff, _hall(), areas=[{"name": "Standing", "capacity": SEATS}])
    path = f"{urlsplit(url).path}/shows/{show['show_id']}/holds"
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 80
    requests = [_request(path, host, wanted(number, show)) for number in range(count + WARM)]
    await wire.send(host, port, requests[count:], at_once)  # connections, caches and plans are warm in an on-sale
    processes = [_process(service) for service in services]
    cpu, started = _used(processes), time.perf_counter()
    await wire.send(host, port, requests[:count], at_once)
    elapsed, used = time.perf_counter() - started, _used(processes) - cpu
    return Measured(count / elapsed, used * 1000 / count)


def _hall() -> dict[str, Any]:
    per_row = 100
    seats = [
        {
            "seat_guid": f"seat-{number}",
            "seat_number": str(number % per_row + 1),
            "category": "Floor",
            "position": {"x": number % per_row * 20, "y": 0},
        }
        for number in range(SEATS)
    ]
    rows = [
        {"row_number": str(row + 1), "position": {"x": 0, "y": row * 20}, "seats": seats[row * per_row :][:per_row]}
        for row in range(SEATS // per_row)
    ]
    return {
        "name": f"Bench {uuid4()}",
        "categories": [{"name": "Floor", "color": "#888888"}],
        "zones": [{"name": "Floor", "position": {"x": 0, "y": 0}, "rows": rows, "areas": []}],
        "size": {"width": 2000, "height": 2400},
    }


def _request(path: str, host: str, wanted: dict[str, Any]) -> bytes:
    body = json.dumps({"hold_id": str(uuid7()), **wanted})
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}\r\n{body}".encode()


async def _orders(staff: Client) -> Measured:
    """Whole orders: hold, checkout, card page, and the tickets known to the buyer."""
    _, show = await open_show(staff, _hall())
    numbers = iter(range(ORDERS))
    processes = [_process(service) for service in SERVICES]

    async def buyer() -> None:
        async with Client(staff.gateway) as client:
            for number in numbers:
                await _order(client, show["show_id"], number)

    cpu, started = _used(processes), time.perf_counter()
    await asyncio.gather(*(buyer() for _ in range(ORDERS_AT_ONCE)))
    elapsed, used = time.perf_counter() - started, _used(processes) - cpu
    return Measured(ORDERS / elapsed, used * 1000 / ORDERS)


async def _order(client: Client, show: str, number: int) -> None:
    order = f"/api/orders/orders/{(order_id := uuid7())}"
    held = await client.ask(
        "POST", f"/api/ticketing/shows/{show}/holds", {"hold_id": str(order_id), "seats": [f"seat-{number}"]}
    )
    customer = {"name": f"Buyer {number}", "email": f"buyer{number}@example.com"}
    placed = await client.ask("POST", f"{order}/checkout", {"quote": held["quote"], "customer": customer})
    await client.pay_by_card(placed["payment"]["redirect_url"])
    async with asyncio.timeout(60):
        while True:
            seen = await client.ask("GET", order, order_key=placed["order_key"])
            if all(line["ticket_number"] for line in seen["lines"]):
                return
            await asyncio.sleep(0.02)


def _process(service: str) -> psutil.Process:
    """The process of a service that we started."""
    for child in psutil.Process().children(recursive=True):
        if child.cmdline()[-2:] == ["chassis.run", service]:
            return child
    raise RuntimeError(f"{service} does not run")


def _used(processes: Sequence[psutil.Process]) -> float:
    """Seconds of processor time so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)
