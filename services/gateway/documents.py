"""One OpenAPI document for the whole platform, made from those of the services.

A service that is away is shown as it was known last, or left out and named in `x-unavailable`; the document is valid
in any case.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson
from fastapi import FastAPI

from chassis import problems
from chassis.logging import get_logger
from chassis.problems import BodyTooLarge, HeadersTooLarge, TooManyRequests, TooSlow, Unavailable
from services.gateway import metrics
from services.gateway.errors import (
    BadAnswer,
    BadCredentials,
    BadRequest,
    CsrfRefused,
    NotAMember,
    ServiceDown,
    ServiceSlow,
)
from services.gateway.forwarding import Forwarder, Upstream
from services.gateway.front import cookie_name
from services.gateway.settings import Settings
from services.gateway.targets import INTERNAL

log = get_logger(__name__)

REFRESH_SECONDS = 30.0
RETRY_SECONDS = 2.0
FETCH_SECONDS = 10.0
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
FRONT = problems.answers(
    BadRequest,
    BadCredentials,
    CsrfRefused,
    NotAMember,
    TooSlow,
    BodyTooLarge,
    TooManyRequests,
    HeadersTooLarge,
    BadAnswer,
    ServiceDown,
    Unavailable,
    ServiceSlow,
)
"""What the front door itself may answer, whatever was asked for."""
PROBLEM = "#/components/schemas/Problem"
DESCRIPTION = """Halls, shows, orders, tickets and customers of organisations.

Programs send an API key as `Authorization: Bearer flk_...`. Pages sign in with `POST /auth/sign-in`, which sets a
cookie, and send `X-CSRF-Token` with everything that changes something. `X-Organisation` (id or slug) chooses one of
several organisations. Buyers need no account."""


class Documents:
    """The merged document, kept for a while."""

    def __init__(self, app: FastAPI, settings: Settings, forwarder: Forwarder) -> None:
        self._app = app
        self._settings = settings
        self._forwarder = forwarder
        self._known: dict[str, dict[str, Any]] = {}
        self._merged = b""
        self._until = 0.0
        self._merging = asyncio.Lock()

    async def merged(self) -> bytes:
        """The document as JSON."""
        async with self._merging:
            if time.monotonic() >= self._until:
                fetched = await asyncio.gather(*(self._fetch(one) for one in self._forwarder.upstreams.values()))
                self._merged = orjson.dumps(self._merge())
                self._until = time.monotonic() + (REFRESH_SECONDS if all(fetched) else RETRY_SECONDS)
        return self._merged

    async def _fetch(self, upstream: Upstream) -> bool:
        try:
            timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            async with self._forwarder.client.get(f"{upstream.base}/openapi.json", timeout=timeout) as answer:
                answer.raise_for_status()
                document = orjson.loads(await answer.read())
                self._known[upstream.name] = _prefixed(upstream.name, upstream.prefix, document)
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError) as error:
            metrics.DOCUMENT_ERRORS.labels(upstream.name).inc()
            log.warning("no OpenAPI document", upstream=upstream.name, error=repr(error))
            return False
        return True

    def _merge(self) -> dict[str, Any]:
        known = {name: self._known[name] for name in self._forwarder.upstreams if name in self._known}
        parts = {"gateway": _prefixed("gateway", "", self._app.openapi()), **known}
        paths: dict[str, Any] = {}
        schemas: dict[str, Any] = {"Problem": problems.SCHEMA}
        tags: list[str] = []
        for part in parts.values():
            paths.update(part["paths"])
            schemas.update(part["schemas"])
            tags += sorted(_tags(part["paths"]))
        for path in paths.values():
            for method, operation in path.items():
                if method in METHODS:
                    for status in FRONT:
                        operation["responses"].setdefault(status, {"$ref": f"#/components/responses/Front{status}"})
        away = sorted(set(self._forwarder.upstreams) - set(parts))
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {"title": "Footlights", "version": "1", "description": DESCRIPTION},
            "servers": [{"url": "/"}],
            "security": [{}, {"session": [], "csrf": []}, {"key": []}],
            "tags": [{"name": tag} for tag in tags],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": schemas,
                "responses": {f"Front{status}": answer for status, answer in FRONT.items()},
                "securitySchemes": {
                    "session": {"type": "apiKey", "in": "cookie", "name": cookie_name(self._settings)},
                    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                    "key": {"type": "http", "scheme": "bearer", "description": "An API key: `flk_...`"},
                },
            },
        }
        if away:
            document["x-unavailable"] = away
        return document


def _prefixed(service: str, prefix: str, document: dict[str, Any]) -> dict[str, Any]:
    """A service's paths and schemas under names that cannot meet those of another service."""
    paths = {}
    for path, item in document["paths"].items():
        if path.strip("/").split("/")[0] in INTERNAL:
            continue
        paths[prefix + path] = item = _renamed(service, item)
        for method, operation in item.items():
            if method in METHODS:
                operation["operationId"] = f"{service}_{operation.get('operationId', method + path)}"
                operation["tags"] = [f"{service}: {tag}" for tag in operation.get("tags", [])] or [service]
                operation.pop("security", None)
    found = document.get("components", {}).get("schemas", {})
    schemas = {f"{service}.{name}": _renamed(service, schema) for name, schema in found.items() if name != "Problem"}
    return {"paths": paths, "schemas": schemas}


def _tags(paths: dict[str, Any]) -> set[str]:
    operations = (operation for item in paths.values() for method, operation in item.items() if method in METHODS)
    return {tag for operation in operations for tag in operation["tags"]}


def _renamed(service: str, value: Any) -> Any:
    """A copy in which every reference to a schema names the service's own; problems are the same everywhere."""
    start = "#/components/schemas/"
    if isinstance(value, dict):
        return {key: _renamed(service, part) for key, part in value.items()}
    if isinstance(value, list):
        return [_renamed(service, part) for part in value]
    if isinstance(value, str) and value.startswith(start) and value != PROBLEM:
        return f"{start}{service}.{value[len(start) :]}"
    return value
