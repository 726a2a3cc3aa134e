"""What is looked at before a body is read, a transaction opened or JSON parsed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import text
from starlette.requests import Request

from chassis.app import create_app
from chassis.edge import Caller, Tx, public, staff
from chassis.idempotency import Once
from chassis.intake import DEPTH, ORDINARY_VALUES, refuse_bombs, takes
from chassis.problems import Invalid
from contracts.accounts import Role
from deploy.platform.databases import DatabaseUrls
from tests.chassis import probe
from tests.chassis.probe import ORGANISATION
from tests.harness import Kafka, TokenMint, serve

router = APIRouter()
Organizer = Annotated[Caller, Depends(staff(Role.ORGANIZER))]


class Thing(BaseModel):
    names: list[Any]


@router.post("/things", dependencies=[Depends(public())])
async def model(thing: Thing) -> int:
    return len(thing.names)


@router.post("/staff")
async def of_staff(thing: Thing, tx: Tx, caller: Organizer) -> int:
    return len(thing.names)


@router.post("/raw")
@takes(200_000, values=None)
async def raw(request: Request, tx: Tx, caller: Organizer) -> int:
    """Asks for the transaction first and reads the body itself."""
    await tx.execute(text("SELECT 1"))
    return len(await request.body())


@router.post("/once")
async def repeatable(tx: Tx, once: Once, caller: Organizer) -> Any:
    async def command() -> str:
        return "done"

    return await once.run(tx, 201, command)


@router.post("/hook", dependencies=[Depends(public())])
@takes(1000, json=False)
async def hook(request: Request) -> int:
    return len(await request.body())


@router.get("/rows", dependencies=[Depends(public())])
async def rows(tx: Tx) -> int:
    return int(await tx.scalar(text("SELECT 7")))


@pytest.fixture
def app(urls: DatabaseUrls, kafka: Kafka, tokens: TokenMint) -> FastAPI:
    settings = probe.settings_for(urls, kafka, auth_jwks=tokens.jwks, database_pool_size=2)
    return create_app(settings, title="Probe", routers=[router])


class Client:
    def __init__(self, url: str, session: aiohttp.ClientSession, token: str) -> None:
        self.url = url
        self._session = session
        self.organizer = {"Authorization": f"Bearer {token}"}

    async def post(
        self, path: str, data: Any, kind: str | None = "application/json", **headers: str
    ) -> tuple[int, Any]:
        skipped = ["Content-Type"] if kind is None else []
        sent = headers | ({"Content-Type": kind} if kind else {})
        async with self._session.post(self.url + path, data=data, headers=sent, skip_auto_headers=skipped) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def client(app: FastAPI, tokens: TokenMint) -> AsyncIterator[Client]:
    async with serve(app) as url, aiohttp.ClientSession() as session:
        yield Client(url, session, tokens.staff(ORGANISATION, Role.ORGANIZER))


def names(size: int) -> bytes:
    return json.dumps({"names": ["x" * (size - 20)]}).encode()


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


async def test_ordinary_bodies_are_small_and_some_routes_take_more(client: Client) -> None:
    for data in (names(70_000), pieces(names(70_000))):
        status, problem = await client.post("/things", data)
        assert (status, problem["type"], problem["limit"]) == (413, "/problems/body-too-large", 65_536)
    assert await client.post("/things", pieces(names(60_000))) == (200, 1)
    assert (await client.post("/raw", pieces(b"x" * 190_000), **client.organizer)) == (200, 190_000)
    assert (await client.post("/raw", b"x" * 200_001, **client.organizer))[0] == 413


async def test_json_routes_take_json_only(client: Client) -> None:
    body = b'{"names": []}'
    for kind in (
        None,
        "text/plain",
        "text/plain; a=application/json",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ):
        status, problem = await client.post("/things", body, kind)
        assert (status, problem["type"]) == (415, "/problems/json-needed"), kind
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"):
        assert await client.post("/things", body, kind) == (200, 0), kind
    assert await client.post("/hook", b"a=b", "application/x-www-form-urlencoded") == (200, 3)


async def test_bombs_are_refused_before_they_are_parsed(client: Client) -> None:
    for bomb in (b"[" * 40 + b"]" * 40, b"[" + b"{}," * ORDINARY_VALUES + b"{}]"):
        status, problem = await client.post("/things", b'{"names":' + bomb + b"}")
        assert (status, problem["type"]) == (422, "/problems/invalid")
    assert (await client.post("/things", b"x" * 60_000))[0] == 422


def test_depth_is_that_of_the_json_and_not_of_its_texts() -> None:
    refuse_bombs(json.dumps(["[" * 500, "]" * 500, '\\"[[[' * 90]).encode(), 10_000)
    refuse_bombs(b"[" * DEPTH + b"]" * DEPTH, 10_000)
    with pytest.raises(Invalid):
        refuse_bombs(b'["]]]]", ' * (DEPTH + 1) + b"1" + b"]" * (DEPTH + 1), 10_000)


@pytest.mark.parametrize("path", ["/staff", "/raw", "/once"])
async def test_a_stranger_is_refused_before_the_body_is_read(client: Client, tokens: TokenMint, path: str) -> None:
    other = f"Authorization: Bearer {tokens.staff(ORGANISATION, Role.STOREKEEPER)}\r\n"
    for authorization, status in (("", b"401"), (other, b"403")):
        reader, writer = await _begin(client.url, path, authorization)
        assert (await asyncio.wait_for(reader.readline(), 30)).split()[1] == status
        writer.close()


async def test_slow_bodies_hold_no_transaction(client: Client, app: FastAPI) -> None:
    authorization = f"Authorization: {client.organizer['Authorization']}\r\n"
    begun = [await _begin(client.url, path, authorization) for path in ("/staff", "/raw", "/once") for _ in range(8)]
    async with aiohttp.ClientSession(client.url) as session:
        for _ in range(5):
            async with session.get("/rows") as answer:
                assert (answer.status, await answer.json()) == (200, 7)
    for reader, writer in begun:
        writer.write(b"c\r\n: [1, 2, 3]}\r\n0\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 30)).split()[1][:1] == b"2"
        writer.close()


async def _begin(url: str, path: str, authorization: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request whose body has begun and does not go on."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n{authorization}"
    writer.write(head.encode() + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"names"\r\n')
    await writer.drain()
    return reader, writer
