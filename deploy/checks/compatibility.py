"""Whether a changed event type can still be read by, and still reads, what was released.

Writers are closed (they write what their schema says), readers are open (they ignore what they do not know). A change
is compatible if old records fit new readers and new records fit old readers: each writer's schema is a subset of each
reader's. So an optional field may come and go, and so may values of an enumeration that only informs (`Open`); anything
else needs a new major version.

The subset test is sound for the part of JSON Schema that pydantic writes: what it accepts, it has shown. A keyword it
does not know, or a difference it cannot judge (two patterns), is reported as a problem.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploy.checks.schemas import opened

Schema = dict[str, Any]

ANNOTATIONS = {
    "$schema", "$id", "$defs", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
}  # fmt: skip
LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.ge,
    "exclusiveMaximum": operator.le,
    "minLength": operator.ge,
    "maxLength": operator.le,
    "minItems": operator.ge,
    "maxItems": operator.le,
}
"""The reader's limit is kept if the writer's own is at least as strict."""
EQUALS = ("pattern", "format", "multipleOf", "uniqueItems")
"""The reader's constraint is kept if the writer has the same one."""
UNDERSTOOD = (
    ANNOTATIONS
    | set(LIMITS)
    | set(EQUALS)
    | {"type", "enum", "const", "anyOf", "$ref", "properties", "required", "additionalProperties", "items"}
)


def problems(released: Mapping[str, Schema], current: Mapping[str, Schema], name: str) -> list[str]:
    """How the current form of a released type breaks it, in words; empty if it does not."""
    if name not in current:
        return ["the type is gone, but its records remain in the topic"]
    old, new = released[name], current[name]
    backward = [f"a new reader cannot read old records: {problem}" for problem in not_subset(old, opened(new))]
    forward = [f"an old reader cannot read new records: {problem}" for problem in not_subset(new, opened(old))]
    return backward + forward


def not_subset(writer: Schema, reader: Schema) -> list[str]:
    """Why some record of the (closed) writer may not fit the (open) reader; empty if all fit."""
    return list(dict.fromkeys(_Comparison(writer, reader).differences(writer, reader, "$")))


class _Comparison:
    """One comparison of two documents; remembers the pairs of definitions it is inside of, for recursive types."""

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._writer, self._reader = writer, reader
        self._inside: set[tuple[str, str]] = set()

    def differences(self, writer: Schema, reader: Schema, at: str) -> Iterator[str]:
        pair = (str(writer.get("$ref", at)), str(reader.get("$ref", at)))
        recursive = "$ref" in writer and "$ref" in reader
        if recursive and pair in self._inside:
            return
        if recursive:
            self._inside.add(pair)
        yield from self._resolved(_resolve(writer, self._writer), _resolve(reader, self._reader), at)
        self._inside.discard(pair)

    def _resolved(self, writer: Schema, reader: Schema, at: str) -> Iterator[str]:
        foreign = sorted((set(writer) | set(reader)) - UNDERSTOOD)
        if foreign:
            yield f"{at}: cannot judge {', '.join(foreign)}"
            return
        branches = list(_branches(writer))
        if branches != [writer]:
            for branch in branches:
                yield from self.differences(branch, reader, at)
            return
        choices = list(_branches(reader, split_values=False))
        if choices != [reader]:
            yield from self._one_of(writer, choices, at)
            return
        yield from self._plain(writer, reader, at)

    def _one_of(self, writer: Schema, choices: list[Schema], at: str) -> Iterator[str]:
        found = [list(self.differences(writer, choice, at)) for choice in choices]
        if all(found):
            # The branch of the same type says most exactly what is wrong.
            kinds = [_resolve(choice, self._reader).get("type") for choice in choices]
            yield from (
                found[kinds.index(writer.get("type"))]
                if writer.get("type") in kinds
                else [f"{at}: may be {_words(writer)}, which no alternative of the reader allows"]
            )

    def _plain(self, writer: Schema, reader: Schema, at: str) -> Iterator[str]:
        allowed = _values(reader)
        if allowed is not None:
            written = _values(writer)
            if written is None or any(not _among(value, allowed) for value in written):
                yield f"{at}: may be {_words(writer)}, the reader knows only {allowed}"
            return
        kind, expected = writer.get("type"), reader.get("type")
        if expected is not None and kind != expected and (kind, expected) != ("integer", "number"):
            yield f"{at}: is {_words(writer)}, the reader expects {expected}"
            return
        yield from _constraints(writer, reader, at)
        if kind == "object":
            yield from self._objects(writer, reader, at)
        if kind == "array" and "items" in reader:
            yield from self.differences(writer.get("items", {}), reader["items"], f"{at}[]")

    def _objects(self, writer: Schema, reader: Schema, at: str) -> Iterator[str]:
        for name in reader.get("required", []):
            if name not in writer.get("required", []):
                yield f"{at}.{name}: may be absent, the reader needs it"
        mine, theirs = writer.get("properties", {}), reader.get("properties", {})
        others = reader.get("additionalProperties")
        for name, schema in mine.items():
            if name in theirs:
                yield from self.differences(schema, theirs[name], f"{at}.{name}")
            elif isinstance(others, dict):
                yield from self.differences(schema, others, f"{at}.{name}")
        extra = writer.get("additionalProperties")
        extra = {} if extra is True else extra  # written out, so meant: absent is read as closed
        if isinstance(extra, dict):
            for name in set(theirs) - set(mine):
                yield from self.differences(extra, theirs[name], f"{at}.{name}")
            if isinstance(others, dict):
                yield from self.differences(extra, others, f"{at}.*")


def _resolve(schema: Schema, document: Schema) -> Schema:
    """The schema with its reference followed; what stands beside a reference counts too."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        target = document["$defs"][name]
        clash = (set(beside) & set(target)) - ANNOTATIONS
        if clash:
            return {"cannot merge": sorted(clash)}
        schema = {**target, **beside}
    return schema


def _branches(schema: Schema, *, split_values: bool = True) -> Iterator[Schema]:
    """The alternatives of a schema, each without further alternatives of its own at this level."""
    beside = {key: value for key, value in schema.items() if key not in ("anyOf", *ANNOTATIONS)}
    if "anyOf" in schema:
        if beside:
            yield {"anyOf beside": sorted(beside)}
            return
        yield from schema["anyOf"]
    elif isinstance(schema.get("type"), list):
        yield from ({**beside, "type": kind} for kind in schema["type"])
    elif split_values and len(schema.get("enum", [])) > 1:
        yield from ({**beside, "enum": [value]} for value in schema["enum"])
    else:
        yield schema


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values: list[Any] | None = schema.get("enum")
    return values


def _among(value: Any, allowed: list[Any]) -> bool:
    return any(value == one and type(value) is type(one) for one in allowed)


def _constraints(writer: Schema, reader: Schema, at: str) -> Iterator[str]:
    for keyword, at_least_as_strict in LIMITS.items():
        if keyword in reader and not (keyword in writer and at_least_as_strict(writer[keyword], reader[keyword])):
            yield f"{at}: {keyword} {writer.get(keyword, 'missing')}, the reader needs {reader[keyword]}"
    for keyword in EQUALS:
        if keyword in reader and writer.get(keyword) != reader[keyword]:
            yield f"{at}: {keyword} {writer.get(keyword, 'missing')}, the reader needs {reader[keyword]}"


def _words(schema: Schema) -> str:
    values = _values(schema)
    return ", ".join(map(repr, values)) if values else str(schema.get("type", "anything"))
