"""The routes of ticketing, and what FastAPI cannot know of the hot ones."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request

from chassis.edge import public
from chassis.problems import answers, raised_by
from services.ticketing.halls.routes import router as halls
from services.ticketing.holds.endpoint import HOLD_ROUTE
from services.ticketing.holds.quotes import Quotes
from services.ticketing.holds.routes import HoldIn, HoldOut
from services.ticketing.holds.routes import router as holds
from services.ticketing.shows.routes import SEATS_ROUTE
from services.ticketing.shows.routes import router as shows
from services.ticketing.tickets.issue import Printer
from services.ticketing.tickets.routes import router as tickets

keys = APIRouter(tags=["keys"], dependencies=[Depends(public())])


@keys.get("/.well-known/jwks.json")
async def jwks(request: Request) -> dict[str, Any]:
    """The keys that quotes are verified with."""
    quotes: Quotes = request.app.state.quotes
    return quotes.jwks()


@keys.get("/.well-known/ticket-keys.json")
async def ticket_keys(request: Request) -> dict[str, Any]:
    """The keys that codes on tickets are verified with, for devices at the door (docs/door.md)."""
    printer: Printer = request.app.state.printer
    return printer.codes.jwks()


ROUTERS = [keys, halls, shows, holds, tickets]
HOT_ROUTES = [HOLD_ROUTE, SEATS_ROUTE]

_SHOW_ID = {"name": "show_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_TEMPLATE = "#/components/schemas/{model}"


def document_hot_routes(app: FastAPI) -> None:
    """Adds the routes that are not FastAPI's to the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (HoldIn, HoldOut):
            schema = TypeAdapter(model).json_schema(ref_template=_TEMPLATE)
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        document["paths"].setdefault("/shows/{show_id}/holds", {})["post"] = _hold_operation()
        document["paths"].setdefault("/shows/{show_id}/seats", {})["get"] = _seats_operation()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _hold_operation() -> dict[str, Any]:
    held = {"application/json": {"schema": {"$ref": _TEMPLATE.format(model="HoldOut")}}}
    return {
        "tags": ["holds"],
        "operationId": "place_hold",
        "summary": "Place Hold",
        "description": "Takes seats and places for a limited time, all of them or none (TKT-15). The same request "
        "sent again is the same hold. 409 `seats-taken` names the seats that somebody else has, `places-taken` says "
        "how many places are left, `not-together` how many seats are side by side.",
        "parameters": [_SHOW_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _TEMPLATE.format(model="HoldIn")}}},
        },
        "responses": {
            "201": {"description": "The seats are held", "content": held},
            "200": {"description": "They were held by this very request before", "content": held},
            **answers(*raised_by(HOLD_ROUTE.endpoint)),
        },
    }


def _seats_operation() -> dict[str, Any]:
    state = {"type": "string", "enum": ["free", "held", "sold", "blocked"]}
    text, count = {"type": "string"}, {"type": "integer"}
    area = {
        "type": "object",
        "required": ["area_id", "name", "capacity", "left"],
        "properties": {"area_id": {**text, "format": "uuid"}, "name": text, "capacity": count, "left": count},
    }
    body = {
        "type": "object",
        "required": ["show_id", "version", "areas"],
        "properties": {
            "show_id": {"type": "string", "format": "uuid"},
            "version": {"type": "integer"},
            "seats": {"type": "object", "additionalProperties": state},
            "states": {"type": "string", "description": "One letter per seat, in the plan's order"},
            "legend": {"type": "object", "additionalProperties": state},
            "yours": {
                "type": "array",
                "items": text,
                "description": "Seats that the caller holds, known by their account or by Hold-Token",
            },
            "areas": {"type": "array", "items": area, "description": "How many places of each area are left"},
        },
    }
    form = {"name": "format", "in": "query", "schema": {"type": "string", "enum": ["full", "compact"]}}
    return {
        "tags": ["shows"],
        "operationId": "read_seats",
        "summary": "Read Seats",
        "description": "The state of every seat of the hall. Send the ETag back as If-None-Match: 304 means no change. "
        "`format=compact` answers one letter per seat.",
        "parameters": [
            _SHOW_ID,
            form,
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
            {"name": "Hold-Token", "in": "header", "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "The seats", "content": {"application/json": {"schema": body}}},
            "304": {"description": "Nothing changed"},
            **answers(*raised_by(SEATS_ROUTE.endpoint)),
        },
    }
