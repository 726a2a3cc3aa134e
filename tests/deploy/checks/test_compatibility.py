"""The compatibility check lets optional fields come and go and stops everything else; what it accepts really fits."""

from __future__ import annotations

import copy
import json
from enum import StrEnum
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from contracts.envelope import EventData, Instant
from contracts.money import Money
from deploy.checks.compatibility import not_subset, problems
from deploy.checks.schemas import write_schema


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Inner(Closed):
    label: str
    price: Money
    note: str | None = None


class Old(Closed):
    id: UUID
    at: Instant
    name: str
    count: int = Field(ge=0)
    colour: Colour
    nickname: str | None = None
    code: str = Field(pattern="^[A-Z]{3}$")
    inner: Inner
    many: tuple[Inner, ...]
    by_name: dict[str, int] = {}


RELEASED = Old.model_json_schema(mode="serialization")


def changed(path: str, edit: Any) -> dict[str, Any]:
    """The released schema after `edit(dict at path)`."""
    schema = copy.deepcopy(RELEASED)
    at: Any = schema
    for part in filter(None, path.split("/")):
        at = at[part]
    edit(at)
    return schema


def put(name: str, value: Any) -> Any:
    return lambda at: at.__setitem__(name, value)


def drop(name: str) -> Any:
    return lambda at: at.pop(name)


def add_field(name: str, schema: dict[str, Any], *, required: bool) -> Any:
    def edit(at: dict[str, Any]) -> None:
        at["properties"][name] = schema
        if required:
            at["required"].append(name)

    return edit


def remove_field(name: str) -> Any:
    def edit(at: dict[str, Any]) -> None:
        del at["properties"][name]
        if name in at["required"]:
            at["required"].remove(name)

    return edit


TEXT = {"type": "string"}
MAYBE = {"anyOf": [TEXT, {"type": "null"}], "default": None}

FINE = {
    "nothing": ("", lambda at: None),
    "optional field added": ("", add_field("extra", MAYBE, required=False)),
    "optional object added": ("", add_field("extra", {"$ref": "#/$defs/Inner"}, required=False)),
    "optional field removed": ("", remove_field("nickname")),
    "optional field added in a nested object": ("$defs/Inner", add_field("extra", TEXT, required=False)),
    "optional field removed from a nested object": ("$defs/Inner", remove_field("note")),
    "other words": ("properties/name", put("description", "What people call it.")),
    "other default": ("properties/nickname", put("default", "Ole")),
    "enum in another order": ("$defs/Colour", put("enum", ["green", "red"])),
}

BREAKS = {
    "required field added": ("", add_field("extra", TEXT, required=True), "new reader"),
    "required field removed": ("", remove_field("name"), "old reader"),
    "required field becomes optional": ("", lambda at: at["required"].remove("name"), "old reader"),
    "optional field becomes required": ("", lambda at: at["required"].append("nickname"), "new reader"),
    "field renamed": ("", lambda at: (remove_field("name")(at), add_field("title", TEXT, required=True)(at)), "reader"),
    "type changed": ("properties/count", put("type", "string"), "reader"),
    "integer becomes number": ("properties/count", put("type", "number"), "old reader"),
    "becomes null at times": ("properties", put("name", MAYBE), "old reader"),
    "is never null again": ("properties", put("nickname", TEXT), "new reader"),
    "format changed": ("properties/at", put("format", "date"), "reader"),
    "format dropped": ("properties/id", drop("format"), "old reader"),
    "enum widened": ("$defs/Colour", put("enum", ["red", "green", "blue"]), "old reader"),
    "enum narrowed": ("$defs/Colour", put("enum", ["red"]), "new reader"),
    "enum becomes free text": ("$defs", put("Colour", TEXT), "old reader"),
    "text becomes an enum": ("properties", put("name", {"type": "string", "enum": ["a"]}), "new reader"),
    "pattern changed": ("properties/code", put("pattern", "^[A-Z]{4}$"), "reader"),
    "pattern dropped": ("properties/code", drop("pattern"), "old reader"),
    "limit loosened": ("properties/count", put("minimum", -1), "old reader"),
    "limit tightened": ("properties/count", put("minimum", 1), "new reader"),
    "limit added": ("properties/name", put("maxLength", 10), "new reader"),
    "nested required field added": ("$defs/Inner", add_field("extra", TEXT, required=True), "new reader"),
    "nested type changed": ("$defs/Inner/properties/label", put("type", "integer"), "reader"),
    "list becomes one": ("properties", put("many", {"$ref": "#/$defs/Inner"}), "reader"),
    "items changed": ("properties/many", put("items", TEXT), "reader"),
    "values of a mapping changed": ("properties/by_name", put("additionalProperties", TEXT), "reader"),
    "optional field changed": ("properties", put("nickname", {"type": "integer"}), "reader"),
    "unknown keyword": ("properties/name", put("contentEncoding", "base64"), "cannot judge"),
}


NUMBER = {"type": "integer"}


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


MAPPINGS = {
    "values of the same type": (mapping(NUMBER), mapping(NUMBER), []),
    "values of another type": (mapping(NUMBER), mapping(TEXT), ["$.*"]),
    "any values": (mapping(True), mapping(NUMBER), ["$.*"]),
    "fields that are values": (fields(x=NUMBER), mapping(NUMBER), []),
    "a field that is no value": (fields(x=NUMBER, y=TEXT), mapping(NUMBER), ["$.y"]),
    "values that may be a field": (mapping(NUMBER), fields(x=NUMBER), []),
    "values that are no field": (mapping(NUMBER), fields(x=TEXT, y=NUMBER), ["$.x"]),
    "any values for a field": (mapping(True), fields(x=NUMBER), ["$.x"]),
    "any values for a reader that ignores them": (mapping(True), fields(), []),
    "a field beside values": ({**mapping(NUMBER), "properties": {"x": TEXT}}, fields(x=TEXT, y=NUMBER), []),
    "values and a field": (mapping(NUMBER), {**mapping(TEXT), "properties": {"x": NUMBER}}, ["$.*"]),
    "a field that may be closed": (fields(), fields(x=TEXT), []),
}
"""What a writer writes, what a reader expects, and where that differs."""


def judged(schema: dict[str, Any]) -> list[str]:
    return problems({"a.b.c.v1": RELEASED}, {"a.b.c.v1": schema}, "a.b.c.v1")


@pytest.mark.parametrize("change", FINE)
def test_a_compatible_change_passes(change: str) -> None:
    assert judged(changed(*FINE[change])) == []


@pytest.mark.parametrize("change", BREAKS)
def test_a_breaking_change_is_named(change: str) -> None:
    path, edit, words = BREAKS[change]

    found = judged(changed(path, edit))

    assert found
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("case", MAPPINGS)
def test_mappings_and_fields_are_compared(case: str) -> None:
    writer, reader, expected = MAPPINGS[case]

    assert [problem.partition(":")[0] for problem in not_subset(writer, reader)] == expected


def test_a_type_that_is_gone_is_named() -> None:
    assert "gone" in problems({"a.b.c.v1": RELEASED}, {}, "a.b.c.v1")[0]


def test_a_value_may_come_and_go_only_where_it_informs() -> None:
    for name, field, free in (
        ("orders.order.paid.v1", "PaymentMethod", True),
        ("orders.order.paid.v1", "FunnelStage", False),
        ("ticketing.hold.released.v1", "HoldEnd", False),
    ):
        released = write_schema(EventData.known[name])
        more = copy.deepcopy(released)
        more["$defs"][field]["enum"].append("of_tomorrow")
        for old, new in ((released, more), (more, released)):
            assert (problems({name: old}, {name: new}, name) == []) is free, field


def test_every_type_fits_itself() -> None:
    for kind in EventData.known.values():
        schema = write_schema(kind)
        assert not_subset(schema, schema) == []


def test_a_recursive_type_is_judged() -> None:
    class Node(Closed):
        label: str
        children: tuple[Node, ...] = ()

    Node.model_rebuild(_types_namespace={"Node": Node})
    schema = Node.model_json_schema()
    other = json.loads(json.dumps(schema).replace('"type": "string"', '"type": "integer"'))

    assert not_subset(schema, schema) == []
    assert not_subset(schema, other)


# What the check accepts is tried out: records written by one random schema are validated by another.

scalars = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "integer", "minimum": 0},
        {"type": "integer", "minimum": 3, "maximum": 5},
        {"type": "string", "maxLength": 2},
        {"type": "string", "enum": ["a", "b"]},
        {"type": "string", "enum": ["a"]},
        {"const": "a", "type": "string"},
        {"type": "string", "format": "uuid"},
        {"type": ["string", "null"]},
    ]
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["x", "y", "z"])

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(names, inner, max_size=3))
        required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    return build()


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        objects(inner),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner),
        st.builds(lambda many: {"anyOf": many}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(mapping, inner),
    )


schemas = objects(st.recursive(scalars, containers, max_leaves=6))


def records(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Records that a writer with this schema may write."""
    if "anyOf" in schema:
        return st.one_of(*(records(one) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema["type"]:
        case list(kinds):
            return st.one_of(*(records({**schema, "type": kind}) for kind in kinds))
        case "string":
            if "format" in schema:
                return st.uuids().map(str)
            return st.text("abc", max_size=schema.get("maxLength", 3))
        case "integer":
            return st.integers(schema.get("minimum", -9), schema.get("maximum", 9))
        case "number":
            return st.sampled_from([0.5, -2.25, 7])
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(records(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
    others = schema["additionalProperties"]
    if isinstance(others, dict):
        return st.dictionaries(st.sampled_from(["x", "q"]), records(others), max_size=2)
    required = {name: records(one) for name, one in schema["properties"].items() if name in schema["required"]}
    optional = {name: records(one) for name, one in schema["properties"].items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def opened(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: opened(one) for key, one in schema.items() if (key, one) != ("additionalProperties", False)}
    return [opened(one) for one in schema] if isinstance(schema, list) else schema


@settings(max_examples=150)
@given(st.data(), schemas, schemas, st.booleans())
def test_what_is_accepted_really_fits(data: st.DataObject, writer: Any, other: Any, related: bool) -> None:
    reader = data.draw(mutations(writer)) if related else other
    assume(not not_subset(writer, reader))

    record = data.draw(records(writer))

    jsonschema.Draft202012Validator(opened(reader), format_checker=jsonschema.FormatChecker()).validate(record)


@st.composite
def mutations(draw: st.DrawFn, schema: Any) -> Any:
    """A schema like another one, with one field changed."""
    schema = copy.deepcopy(schema)
    name = draw(st.sampled_from(["x", "y", "z"]))
    if name in schema["properties"] and draw(st.booleans()):
        remove_field(name)(schema)
    else:
        schema["properties"][name] = draw(st.recursive(scalars, containers, max_leaves=3))
    return schema


@example({"type": "object", "properties": {}, "required": [], "additionalProperties": False})
@given(schemas)
def test_a_schema_fits_itself(schema: Any) -> None:
    assert not_subset(schema, schema) == []
