"""The edge over HTTP: who may call, whose rows are seen, safe repetition, stale edits, errors and health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import aiohttp
import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from starlette.responses import Response

from chassis import context
from chassis.app import create_app, require_permissions
from chassis.concurrency import IfMatch, check_version, set_etag
from chassis.db import Database
from chassis.edge import Caller, Tx, public, staff
from chassis.idempotency import Once
from chassis.links import Links
from chassis.problems import Conflict, Unauthorised
from contracts.accounts import Role
from deploy.platform.databases import DatabaseUrls, development_password
from tests.chassis import probe
from tests.chassis.probe import ORGANISATION, OTHER_ORGANISATION
from tests.harness import Kafka, TokenMint, serve

router = APIRouter()

INSERT = text("INSERT INTO tally (customer, organisation, names) VALUES (:customer, :organisation, ARRAY[:name])")
SEE_ALL = text("SELECT customer FROM tally")


class Naming(BaseModel):
    name: str


@router.post("/tallies/{customer}", status_code=201)
async def name_it(
    customer: UUID, naming: Naming, tx: Tx, once: Once, caller: Annotated[Caller, Depends(staff(Role.ORGANIZER))]
) -> Response:
    async def command() -> dict[str, str]:
        if naming.name == "conflict":
            raise Conflict("That name is taken. Choose another one.", taken=naming.name)
        await tx.execute(INSERT, {"customer": customer, "organisation": caller.staff_organisation, "name": naming.name})
        return {"customer": str(customer), "random": str(uuid4())}

    return await once.run(tx, 201, command, {"Location": f"/tallies/{customer}"})


@router.get("/tallies", dependencies=[Depends(staff())])
async def list_without_a_filter(tx: Tx) -> list[UUID]:
    return list(await tx.scalars(SEE_ALL))


@router.patch("/version", dependencies=[Depends(public())])
async def edit(seen: IfMatch, response: Response) -> dict[str, int]:
    check_version(seen, 7)
    set_etag(response, 8)
    return {"version": 8}


@router.get("/caller")
async def who_calls(caller: Annotated[Caller, Depends(public())]) -> dict[str, Any]:
    return {"account": caller.account_id, "verified": caller.is_verified, "network": caller.network}


@router.get("/broken", dependencies=[Depends(public())])
async def broken() -> None:
    raise RuntimeError("secret detail")


@router.get("/orders/{order_id}/lines", dependencies=[Depends(public())])
async def what_logs_say(order_id: str) -> dict[str, Any]:
    return structlog.contextvars.get_contextvars()


class Client:
    """Calls the served app."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def __call__(
        self, method: str, path: str, token: str | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        async with self._session.request(method, self._base + path, headers=sent, **more) as answer:
            return answer.status, await answer.json(), answer.headers


@pytest.fixture
def app(urls: DatabaseUrls, kafka: Kafka, tokens: TokenMint) -> FastAPI:
    settings = probe.settings_for(urls, kafka, auth_jwks=tokens.jwks)
    return create_app(settings, title="Probe", routers=[router])


@pytest.fixture
async def call(app: FastAPI) -> AsyncIterator[Client]:
    async with serve(app) as base, aiohttp.ClientSession() as session:
        yield Client(session, base)


@pytest.fixture
def organizer(tokens: TokenMint) -> str:
    return tokens.staff(ORGANISATION, Role.ORGANIZER)


async def test_only_the_named_role_of_a_signed_in_person_may_call(call: Client, tokens: TokenMint) -> None:
    path, body = f"/tallies/{uuid4()}", {"json": {"name": "a"}}
    assert (await call("POST", path, **body))[0] == 401
    assert (await call("POST", path, tokens.buyer(), **body))[0] == 403
    assert (await call("POST", path, tokens.staff(ORGANISATION, Role.STOREKEEPER), **body))[0] == 403
    assert (await call("POST", path, tokens.staff(ORGANISATION, Role.ORGANIZER), **body))[0] == 201


async def test_forged_and_expired_tokens_are_refused(call: Client, tokens: TokenMint) -> None:
    good = tokens.staff(ORGANISATION, Role.ORGANIZER)
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    other_key = Ed25519PrivateKey.generate()
    forged = {
        "another key": jwt.encode(claims, other_key, algorithm="EdDSA", headers={"kid": kid}),
        "unknown key": jwt.encode(claims, other_key, algorithm="EdDSA", headers={"kid": "x"}),
        "no signature": jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        "HMAC": jwt.encode(
            claims, "public key as secret, long enough to pass", algorithm="HS256", headers={"kid": kid}
        ),
        "expired": tokens.staff(ORGANISATION, Role.ORGANIZER, ttl=timedelta(minutes=-1)),
        "another audience": tokens.sign({**claims, "aud": "quote"}),
        "another issuer": tokens.sign({**claims, "iss": "somebody"}),
        "nobody, from nowhere": tokens.sign({}),
        "rubbish": "not.a.token",
        "cut": good[:-4],
    }
    for name, token in forged.items():
        status, problem, _ = await call("GET", "/tallies", token)
        assert (status, problem["type"]) == (401, "/problems/sign-in-needed"), name
    assert (await call("GET", "/tallies", headers={"Authorization": "Basic YTpi"}))[0] == 401


async def test_what_a_token_says_of_the_caller(call: Client, tokens: TokenMint) -> None:
    account = uuid4()
    signed_in: dict[str, Any] = {"sub": str(account), "name": "N", "org": None, "roles": [], "net": "2001:db8::/64"}
    told = {
        "nobody": await call("GET", "/caller", tokens.sign({"net": "203.0.113.7"})),
        "not verified": await call("GET", "/caller", tokens.sign(signed_in | {"email": None})),
        "verified": await call("GET", "/caller", tokens.sign(signed_in | {"email": "a@example.com"})),
        "no token": await call("GET", "/caller"),
    }
    assert {name: tuple(body.values()) for name, (_, body, _) in told.items()} == {
        "nobody": (None, False, "203.0.113.7"),
        "not verified": (str(account), False, "2001:db8::/64"),
        "verified": (str(account), True, "2001:db8::/64"),
        "no token": (None, False, None),
    }
    assert (await call("GET", "/tallies", tokens.sign({"net": "203.0.113.7"})))[0] == 401, "not signed in"


async def test_a_query_without_its_filter_sees_one_organisation(
    call: Client, tokens: TokenMint, organizer: str
) -> None:
    customer = uuid4()
    await call("POST", f"/tallies/{customer}", organizer, json={"name": "a"})
    assert (await call("GET", "/tallies", organizer))[1] == [str(customer)]
    assert (await call("GET", "/tallies", tokens.staff(OTHER_ORGANISATION, Role.ORGANIZER)))[1] == []


async def test_without_an_organisation_nothing_is_seen_or_written(db: Database) -> None:
    async with db.as_worker() as session:
        await session.execute(INSERT, {"customer": uuid4(), "organisation": ORGANISATION, "name": "a"})
        assert len(list(await session.scalars(SEE_ALL))) == 1
    async with db.for_organisation(None) as session:
        assert list(await session.scalars(SEE_ALL)) == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        await _write_for_another(db)


async def _write_for_another(db: Database) -> None:
    async with db.for_organisation(ORGANISATION) as session:
        await session.execute(INSERT, {"customer": uuid4(), "organisation": OTHER_ORGANISATION, "name": "b"})


async def test_a_repeated_request_gets_the_first_answer(call: Client, organizer: str) -> None:
    path, key = f"/tallies/{uuid4()}", {"Idempotency-Key": "again"}
    first = await call("POST", path, organizer, key, json={"name": "a"})
    second = await call("POST", path, organizer, key, json={"name": "a"})
    assert first[0] == second[0] == 201
    assert first[1] == second[1], "the body is the same to the random part"
    assert second[2]["Location"] == path
    assert (second[2]["Idempotency-Replay"], first[2].get("Idempotency-Replay")) == ("true", None)
    status, problem, _ = await call("POST", path, organizer, key, json={"name": "b"})
    assert (status, problem["type"]) == (422, "/problems/invalid")


async def test_repetitions_at_the_same_time_take_effect_once(call: Client, organizer: str) -> None:
    path, key = f"/tallies/{uuid4()}", {"Idempotency-Key": "at once"}
    answers = await asyncio.gather(*(call("POST", path, organizer, key, json={"name": "a"}) for _ in range(8)))
    assert {status for status, _, _ in answers} == {201}
    assert len({str(body) for _, body, _ in answers}) == 1


async def test_a_failed_request_keeps_no_answer(call: Client, organizer: str) -> None:
    path, key = f"/tallies/{uuid4()}", {"Idempotency-Key": "refused"}
    status, problem, headers = await call("POST", path, organizer, key, json={"name": "conflict"})
    assert (status, problem["taken"], headers["Content-Type"]) == (409, "conflict", "application/problem+json")
    assert (await call("POST", path, organizer, key, json={"name": "fine"}))[0] == 201


async def test_a_stale_edit_is_refused(call: Client) -> None:
    assert (await call("PATCH", "/version"))[0] == 428
    assert (await call("PATCH", "/version", headers={"If-Match": '"v6"'}))[0] == 412
    assert (await call("PATCH", "/version", headers={"If-Match": "7"}))[0] == 422
    status, _, headers = await call("PATCH", "/version", headers={"If-Match": '"v7"'})
    assert (status, headers["ETag"]) == (200, '"v8"')


async def test_errors_say_what_is_wrong_and_hide_what_is_ours(call: Client, organizer: str) -> None:
    status, problem, _ = await call("POST", "/tallies/no-uuid", organizer, json={})
    assert status == 422
    assert {error["where"] for error in problem["errors"]} == {"path.customer", "body.name"}
    status, problem, headers = await call("GET", "/broken", headers={"X-Request-Id": "abc"})
    assert (status, problem["request_id"], headers["X-Request-Id"]) == (500, "abc", "abc")
    assert "secret" not in str(problem)
    assert (await call("GET", "/nowhere"))[0] == 404


async def test_the_state_names_the_part_that_is_missing_and_does_not_take_the_replica_out_of_service(
    call: Client, app: FastAPI
) -> None:
    well = (200, {"status": "ok", "parts": {"database": "ok", "keys": "ok"}})
    assert (await call("GET", "/readyz"))[:2] == well
    assert (await call("GET", "/statusz"))[:2] == well

    async def gone() -> bool:
        raise OSError("connection refused")

    app.state.checks["database"] = gone
    status, body, _ = await call("GET", "/statusz")
    assert (status, body["parts"]["database"]) == (503, "OSError: connection refused")
    assert (await call("GET", "/readyz"))[:2] == well
    assert (await call("GET", "/healthz"))[0] == 200


async def test_every_log_line_of_a_request_names_its_order(call: Client) -> None:
    order_id = str(uuid4())
    _, said, _ = await call("GET", f"/orders/{order_id}/lines")
    assert said["order_id"] == order_id


def test_every_log_line_of_an_event_names_what_it_belongs_to() -> None:
    event_id, order_id = uuid4(), str(uuid4())
    with context.handling(event_id, "orders.order.paid.v1", order_id):
        said = structlog.contextvars.get_contextvars()
    assert (said["event_id"], said["correlation_id"]) == (str(event_id), order_id)
    assert "correlation_id" not in structlog.contextvars.get_contextvars()


def test_a_route_without_a_permission_does_not_start(app: FastAPI) -> None:
    @app.get("/forgotten")
    async def forgotten() -> None:
        """Nobody said who may call this."""

    with pytest.raises(TypeError, match="/forgotten declares no permission"):
        require_permissions(app)


def test_a_link_opens_only_its_own_kind_and_thing() -> None:
    links, subject = Links(SecretStr("a secret of this test, of 32 bytes")), uuid4()
    token = links.sign("order", subject, ORGANISATION, ttl_seconds=60)
    assert links.verify("order", token).subject == subject
    for kind, bad in (
        ("document", token),
        ("order", token[:-3]),
        ("order", links.sign("order", subject, ORGANISATION, ttl_seconds=-60)),
        (
            "order",
            Links(SecretStr("another secret of this test, 32 b")).sign("order", subject, ORGANISATION, ttl_seconds=9),
        ),
    ):
        with pytest.raises(Unauthorised):
            links.verify(kind, bad)


def test_production_refuses_development_defaults() -> None:
    with pytest.raises(ValidationError, match="LINK_SECRET"):
        probe.Settings(footlights_env="production")
    own = SecretStr("its own secret, long enough to be one")
    secrets = {"link_secret": own, "erasure_key": own}
    assert probe.Settings(footlights_env="production", **secrets).footlights_env == "production"
    for name in secrets:
        with pytest.raises(ValidationError, match="32 characters"):
            probe.Settings(footlights_env="production", **secrets | {name: SecretStr("short")})
    for name in ("database_url", "database_api_url", "database_worker_url"):
        address = {name: f"postgresql://probe:{development_password('probe_api')}@db/probe"}
        assert probe.Settings(footlights_env="development", **address)
        with pytest.raises(ValidationError, match=name.upper()):
            probe.Settings(footlights_env="production", **secrets, **address, trusted_network=True)


OWN = SecretStr("its own secret, long enough to be one")
PRODUCTION = {"footlights_env": "production", "link_secret": OWN, "erasure_key": OWN}


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("postgresql://a:b@db/x", True),
        ("postgresql://a:b@db:5432/x?sslmode=prefer", True),
        ("postgresql://a:b@127.0.0.1,db.example.com:5433/x", True),
        ("postgresql:///x?host=127.0.0.1,db", True),
        ("postgresql://a:b@db/x?sslmode=disable&application_name=require", True),
        ("postgresql://a:b@db/x?sslmode=require", False),
        ("postgresql://a:b@one,two:5433/x?target_session_attrs=read-write&sslmode=verify-full", False),
        ("postgresql://a:b@127.0.0.1:5432/x", False),
        ("postgresql://a:b@[::1]:5432,localhost/x", False),
        ("postgresql://a:b@[::1]/x", False),
        ("postgresql:///x?host=/var/run/postgresql", False),
    ],
)
def test_production_refuses_a_database_that_others_could_listen_to(address: str, plain: bool) -> None:
    for name in ("database_url", "database_api_url", "database_worker_url"):
        given: dict[str, Any] = {**PRODUCTION, name: address}
        if plain:
            with pytest.raises(ValidationError, match=f"{name.upper()}.*TRUSTED_NETWORK"):
                probe.Settings(**given)
        else:
            assert probe.Settings(**given)
        assert probe.Settings(**given, trusted_network=True)
        assert probe.Settings(**{**given, "footlights_env": "development"})


@pytest.mark.parametrize(
    ("kafka", "plain"),
    [
        ({"kafka_bootstrap_servers": "127.0.0.1:9092,localhost:9093"}, False),
        ({"kafka_bootstrap_servers": "127.0.0.1:9092, kafka:9092"}, True),
        ({"kafka_bootstrap_servers": "kafka:9092", "kafka_security_protocol": "SSL"}, False),
    ],
)
def test_production_refuses_a_kafka_that_others_could_listen_to(kafka: dict[str, str], plain: bool) -> None:
    given: dict[str, Any] = {**PRODUCTION, **kafka}
    if plain:
        with pytest.raises(ValidationError, match="KAFKA_SECURITY_PROTOCOL"):
            probe.Settings(**given)
    else:
        assert probe.Settings(**given)
    assert probe.Settings(**given, trusted_network=True)
