"""What a PATCH says: a field that is left out stays, and null removes what may be removed (RFC 7396)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def changes(body: BaseModel, *removable: str) -> dict[str, Any]:
    """The fields that the body names, as they shall be. Null leaves alone what cannot be removed."""
    named = body.model_dump(exclude_unset=True).items()
    return {name: value for name, value in named if value is not None or name in removable}
