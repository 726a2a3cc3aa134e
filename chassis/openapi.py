"""Which problems each route may answer with, said in the OpenAPI document of its service.

Most follows from what a route asks for: a permission, ids in its path, a body, a version. What its command raises
besides, the route names itself with `problems.raises`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from chassis.problems import (
    SCHEMA,
    BodyTooLarge,
    Invalid,
    JsonNeeded,
    NotFound,
    Problem,
    Unauthorised,
    Unavailable,
    answers,
    raised_by,
)

REPLACED = ("HTTPValidationError", "ValidationError")
"""FastAPI's own schemas of errors; ours are problems."""


def document_problems(app: FastAPI) -> None:
    """Completes the document that the app generates."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = SCHEMA
        for name in REPLACED:
            schemas.pop(name, None)
        for route in iter_route_contexts(app.routes):
            if isinstance(route.original_route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    operation = document["paths"][route.path_format][method.lower()]
                    operation["responses"].update(answers(*_problems_of(route, operation)))
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _problems_of(route: RouteContext, operation: dict[str, Any]) -> Iterator[type[Problem]]:
    yield from (Unauthorised, Unavailable)
    if "{" in (route.path or ""):
        yield NotFound
    if "requestBody" in operation:
        yield from (Problem, BodyTooLarge, JsonNeeded)
    if "422" in operation["responses"]:
        yield Invalid
    waiting: list[Dependant] = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        yield from raised_by(dependant.call)
        waiting.extend(dependant.dependencies)
