"""The merged OpenAPI document, its page without a network, the front page, health and metrics."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from schemathesis.openapi import from_dict

from chassis.edge import staff
from chassis.openapi import document_problems
from chassis.problems import Conflict, raises
from tests.gateway.conftest import Gateway, Serve
from tests.harness import serve

FRONT = {"400", "401", "403", "408", "413", "429", "431", "502", "503", "504"}
"""What the gateway itself may answer."""


class Thing(BaseModel):
    name: str
    parent: Thing | None = None


router = APIRouter()


class Taken(Conflict):
    slug, title = "taken", "It is taken"


@router.post("/things/{thing_id}", dependencies=[Depends(staff())])
@raises(Taken)
async def change_thing(thing_id: int, thing: Thing) -> Thing:
    return thing


@router.get("/metrics")
async def secret() -> str:
    return ""


@asynccontextmanager
async def service(title: str) -> AsyncIterator[str]:
    app = FastAPI(title=title)
    app.include_router(router)
    document_problems(app)
    async with serve(app) as url:
        yield url


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(references(part) for part in value))
    return set()


async def test_documents_are_merged(serve_gateway: Serve) -> None:
    async with (
        service("Orders") as orders,
        service("Crm") as crm,
        serve_gateway(orders_url=orders, crm_url=crm) as gateway,
    ):
        status, document = await gateway.ask("GET", "/openapi.json")
    assert status == 200
    assert document["x-unavailable"] == ["notifications", "reporting", "ticketing"]
    assert {"/api/orders/things/{thing_id}", "/api/crm/things/{thing_id}", "/auth/sign-in"} <= set(document["paths"])
    assert not [path for path in document["paths"] if "metrics" in path or "healthz" in path]
    schemas = document["components"]["schemas"]
    assert {"orders.Thing-Input", "crm.Thing-Output", "gateway.SignIn", "Problem"} <= set(schemas)
    assert not [name for name in schemas if "ValidationError" in name]
    for reference in references(document):
        section, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][section], reference
    operations = [
        operation for path in document["paths"].values() for operation in path.values() if "operationId" in operation
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert [tag["name"] for tag in document["tags"]][-2:] == ["orders", "crm"], "by service, the gateway's first"
    for operation in operations:
        assert set(operation["responses"]) >= FRONT
        assert {"name": operation["tags"][0]} in document["tags"]
    answers = document["paths"]["/api/orders/things/{thing_id}"]["post"]["responses"]
    assert set(answers) == {"200", *FRONT, "404", "409", "415", "422"}
    assert answers["409"]["description"] == "It is taken (`taken`)"
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert answers["422"]["content"] == answers["403"]["content"] == problem
    jwks = document["paths"]["/.well-known/jwks.json"]["get"]["responses"]
    assert not {"404", "409", "422"} & set(jwks), "only what it may really answer"


async def test_the_document_is_valid(gateway: Gateway) -> None:
    _, document = await gateway.ask("GET", "/openapi.json")
    schema = from_dict(document)
    found = list(schema.get_all_operations())
    assert len(found) > 15
    schema.validate()


async def test_a_service_that_goes_away_is_remembered(serve_gateway: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.documents.REFRESH_SECONDS", 0.0)
    monkeypatch.setattr("services.gateway.documents.RETRY_SECONDS", 0.0)
    async with service("Orders") as orders:
        stack = serve_gateway(orders_url=orders)
        gateway = await stack.__aenter__()
        _, before = await gateway.ask("GET", "/openapi.json")
    try:
        _, after = await gateway.ask("GET", "/openapi.json")
        assert "/api/orders/things/{thing_id}" in after["paths"]
        assert after["x-unavailable"] == before["x-unavailable"]
    finally:
        await stack.__aexit__(None, None, None)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_need_nothing_from_elsewhere(gateway: Gateway, path: str) -> None:
    async with gateway.client.get(gateway.url + path) as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert linked
    for address in linked:
        assert address.startswith("/"), address
        async with gateway.client.get(gateway.url + address) as answer:
            assert answer.status == 200, address
            assert "http" not in policy


async def test_there_are_no_other_assets(gateway: Gateway) -> None:
    for path in ("/docs/redoc.standalone.js", "/docs/..%2fcore.py", "/docs/core.py"):
        assert (await gateway.ask("GET", path))[0] in (400, 404)


async def test_the_state_names_its_parts(gateway: Gateway) -> None:
    status, body = await gateway.ask("GET", "/statusz")
    assert (status, body["status"]) == (200, "ok")
    assert set(body["parts"]) >= {"database", "keys", "live", "signing"}
    status, body = await gateway.ask("GET", "/readyz")
    assert (status, set(body["parts"])) == (200, {"database", "keys", "signing"}), "all that needs no Kafka"


async def test_not_ready_without_a_database_or_kafka(serve_gateway: Serve, gateway: Gateway) -> None:
    async with serve_gateway(
        gateway.app.state.urls, kafka_bootstrap_servers="127.0.0.1:1", database_worker_url="postgresql://127.0.0.1:1/x"
    ) as lonely:
        assert (await lonely.ask("GET", "/readyz"))[0] == 503, "it has not seen its database yet"
        status, body = await lonely.ask("GET", "/statusz")
        assert status == 503
        assert body["parts"]["live"] == "not ready"
        assert body["parts"]["database"] != "ok"
        assert (await lonely.ask("GET", "/healthz"))[0] == 200
        assert (await lonely.ask("GET", "/api/orders/x"))[0] == 200, "what anybody may do goes on"
        given = {"email": "a@example.com", "password": "b"}
        status, problem = await lonely.ask("POST", "/auth/sign-in", json=given)
        assert (status, problem["type"]) == (503, "/problems/try-again")
        headers = {"Authorization": "Bearer flk_unknown"}
        assert (await lonely.ask("GET", "/api/orders/x", headers=headers))[0] == 503


async def test_metrics_are_exposed(gateway: Gateway) -> None:
    await gateway.ask("GET", "/api/orders/x")
    _, text = await gateway.ask("GET", "/metrics")
    assert 'footlights_gateway_forwarded_total{service="orders",status="200"}' in text
    assert "footlights_gateway_live_listeners" in text


async def test_metrics_and_readiness_are_not_for_the_public(serve_gateway: Serve, gateway: Gateway) -> None:
    async with serve_gateway(operator_networks="10.0.0.0/8") as far:
        for path in ("/metrics", "/readyz", "/statusz"):
            forwarded = await gateway.ask("GET", path, headers={"X-Forwarded-For": "127.0.0.1"})
            assert (forwarded[0], forwarded[1]["type"]) == (404, "/problems/no-such-service")
            assert (await far.ask("GET", path))[0] == 404
            assert (await gateway.ask("GET", path))[0] == 200, "Prometheus asks directly"
        assert (await far.ask("GET", "/healthz"))[0] == 200
