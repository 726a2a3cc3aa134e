"""JSON Schema 2020-12 of an event type, with descriptions and without decoration.

As its writer keeps it: closed, so that we write nothing by mistake. As a reader should know it, which is what is
published: fields that are not in it may come, and so may values of enumerations that only inform.
"""

from __future__ import annotations

import inspect
from typing import Any

from contracts.envelope import EventData, Open

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def write_schema(kind: type[EventData]) -> dict[str, Any]:
    """The closed schema of one type: a record with a field that is not in it was not written by Footlights."""
    schema: dict[str, Any] = _tidy(kind.model_json_schema(mode="serialization"))
    schema.pop("title", None)
    return {"$schema": DIALECT, "$id": f"urn:footlights:event:{kind.event_type}", "title": kind.event_type, **schema}


def read_schema(kind: type[EventData]) -> dict[str, Any]:
    """The open schema of one type, which records of later releases fit as well."""
    return opened(write_schema(kind))


def opened(written: dict[str, Any]) -> dict[str, Any]:
    """What a reader may count on of what a writer's schema says."""
    open_names = {kind.__name__ for kind in Open.__subclasses__()}
    definitions = {
        name: _known(schema) if name in open_names else _without_end(schema)
        for name, schema in written.get("$defs", {}).items()
    }
    return _without_end(written) | ({"$defs": definitions} if definitions else {})


def _known(enumeration: dict[str, Any]) -> dict[str, Any]:
    values = enumeration["enum"] if "enum" in enumeration else [enumeration["const"]]
    words = f"{enumeration.get('description', '')} Known are {', '.join(values)}; others may come.".strip()
    return {"description": words, "type": "string", "examples": values}


def _without_end(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in schema.items() if (key, one) != ("additionalProperties", False)}


def _tidy(value: Any, naming: bool = False) -> Any:
    """Without titles, which only repeat names. `naming`: the keys of `value` are names of fields, not keywords."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    tidy = {
        key: _tidy(one, naming=key in ("properties", "$defs") and not naming)
        for key, one in value.items()
        if naming or key != "title"
    }
    if not naming and isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(inspect.cleandoc(tidy["description"]).split("\n\n")[0].split())
    return tidy
