"""docs/partners.md says of every address in an event that it is a key, and for how long."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

import contracts
from contracts.envelope import EventData
from services.orders.order import links
from services.ticketing.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "partners.md").read_text()
ROWS = dict(re.findall(r"^ *\| `(\w+|\w+\[\]\.\w+)` \| (.* \| .* \| .*) \|$", PAGE, re.MULTILINE))


def addresses(model: type[BaseModel], path: str = "") -> set[str]:
    """Fields that hold an address, at any depth."""
    found = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        parts = [kind, *getattr(kind, "__args__", ())]
        found |= {f"{path}{name}"} if name.endswith("url") else set()
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= addresses(part, f"{path}{name}{'[]' if part is not kind else ''}.")
    return found


def test_every_address_in_an_event_is_named_as_a_key() -> None:
    assert contracts.orders
    found = {address for kind in EventData.known.values() for address in addresses(kind)}
    assert found == set(ROWS)


def test_they_last_as_long_as_the_page_says() -> None:
    days = int(links.TTL_SECONDS / 86_400)
    assert f"{days} days" in ROWS["order_url"]
    assert f"{Settings.model_fields['document_days'].default} days" in ROWS["documents[].url"]
