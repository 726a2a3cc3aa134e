"""Every text that a request may carry is cleaned by one of the rules of `chassis.texts`, in every service."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from chassis.texts import NAMING, ONE_LINE, STORABLE

SERVICES = ("orders", "ticketing", "crm", "notifications", "reporting", "gateway")
RULES = (STORABLE, ONE_LINE, NAMING)
MACHINES = {
    "cursor",
    "key",
    "order_key",
    "token",
    "quote",
    "quotes",
    "password",
    "current",
    "new",
    "code",
    "email",
    "staff_email",
}
"""What people do not write: it is compared or verified, or has a form of its own."""


def texts(annotation: Any, where: str, rules: tuple[Any, ...] = ()) -> Iterator[str]:
    """Places where any text is taken."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from texts(field.annotation, f"{where}.{name}", tuple(field.metadata))
    elif get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from texts(inner, where, (*rules, *more))
    elif annotation is str:
        patterned = any(getattr(rule, "pattern", None) for rule in rules)
        if not patterned and not any(rule in RULES for rule in rules) and where.rpartition(".")[2] not in MACHINES:
            yield where
    else:
        for part in get_args(annotation):
            yield from texts(part, where, rules)


def bodies_and_queries(route: Any) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    waiting: list[Dependant] = [route.dependant]
    while waiting:
        dependant = waiting.pop()
        waiting.extend(dependant.dependencies)
        for field in (*dependant.body_params, *dependant.query_params):
            yield field.alias, field.field_info.annotation, tuple(field.field_info.metadata)


@pytest.mark.parametrize("service", SERVICES)
def test_people_write_nothing_that_is_not_cleaned(service: str) -> None:
    app = importlib.import_module(f"services.{service}.main").app
    found = {
        f"{route.path}: {place}"
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
        for name, annotation, rules in bodies_and_queries(route)
        for place in texts(annotation, name, rules)
    }
    assert not found
