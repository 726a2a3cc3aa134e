"""Hypothesis strategies for every event type, built from the fields of the models."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from contracts.envelope import Event, EventData
from contracts.money import LIMIT, Currency

moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
currencies = st.sampled_from(["UAH", "PLN", "EUR", "JPY"])

PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    UUID: st.uuids(),
    str: st.text(max_size=20),
    int: st.integers(-LIMIT, LIMIT),
    bool: st.booleans(),
    datetime: moments,
    AwareDatetime: moments,
}


def of_field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return currencies if any(getattr(mark, "pattern", None) for mark in field.metadata) else of(field.annotation)


def of(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation == Currency:
        return currencies
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return of(arguments[0])
    if origin in (Union, types.UnionType):
        return st.one_of(*(of(one) for one in arguments))
    if origin is tuple:
        return st.lists(of(arguments[0]), max_size=3).map(tuple)
    if annotation is type(None):
        return st.none()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(list(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {name: of_field(field) for name, field in annotation.model_fields.items()}
        return st.builds(annotation, **fields)
    return PLAIN[annotation]


data: st.SearchStrategy[EventData] = st.sampled_from(
    sorted(EventData.known.values(), key=lambda t: t.event_type)
).flatmap(of)

events: st.SearchStrategy[Event[EventData]] = st.builds(
    Event,
    id=st.uuids(),
    data=data,
    organisation=st.none() | st.uuids(),
    aggregate_version=st.integers(0, 2**31),
    time=moments,
    correlation_id=st.none() | st.text(max_size=40),
    causation_id=st.none() | st.uuids(),
    traceparent=st.none() | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)
