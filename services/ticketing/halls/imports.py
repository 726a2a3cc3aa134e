"""What an import of a hall is made of."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import Field, ValidationError

from chassis.problems import Invalid
from services.ticketing.halls import plan
from services.ticketing.schemas import Body, Name


class HallImport(Body):
    name: Name | None = None
    """The plan's own name if there is none."""
    plan: Annotated[dict[str, Any], Field(description="A seating plan in pretix's JSON format")]


def check(raw: bytes) -> tuple[str, plan.CheckedPlan]:
    """Name and plan of an import. Raises `Invalid` for what is no import, and what `plan.check` raises."""
    try:
        body = HallImport.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise _invalid([(("body", error.pos), f"JSON decode error: {error}")]) from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise _invalid([(("body", *fault["loc"]), fault["msg"]) for fault in faults[: plan.MAX_ERRORS]]) from None
    checked = plan.check(body.plan)
    return body.name or checked.name.strip() or "Hall", checked


def _invalid(faults: list[tuple[tuple[int | str, ...], str]]) -> Invalid:
    errors = [{"where": ".".join(map(str, where)), "what": what} for where, what in faults]
    return Invalid("; ".join(f"{error['where']}: {error['what']}" for error in errors[:5]), errors=errors)
