"""JSON Schema 2020-12 of an event type as its writer keeps it: closed, with descriptions and without decoration."""

from __future__ import annotations

import inspect
from typing import Any

from contracts.envelope import EventData

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def write_schema(kind: type[EventData]) -> dict[str, Any]:
    """The closed schema of one type: a record with a field that is not in it was not written by Footlights."""
    schema: dict[str, Any] = _tidy(kind.model_json_schema(mode="serialization"))
    schema.pop("title", None)
    return {"$schema": DIALECT, "$id": f"urn:footlights:event:{kind.event_type}", "title": kind.event_type, **schema}


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
