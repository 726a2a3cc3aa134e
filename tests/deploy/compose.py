"""docker-compose.yml as Docker would read it, with the defaults of its variables."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.harness import ROOT


def interpolated(text: str) -> str:
    """`${NAME:-default}` becomes the default; nothing of this machine's environment takes part."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(interpolated((ROOT / "docker-compose.yml").read_text()))
    return found


COMPOSE = compose()
PARTS: dict[str, dict[str, Any]] = COMPOSE["services"]


def published(part: str) -> dict[int, int]:
    """Port in the container → port of the machine; all must be on 127.0.0.1."""
    found = {}
    for entry in PARTS[part].get("ports", []):
        address, outside, inside = entry.split(":")
        assert address == "127.0.0.1", f"{part} would be open to the network"
        found[int(inside)] = int(outside)
    return found


def image(part: str) -> tuple[str, str]:
    name, _, tag = PARTS[part]["image"].partition(":")
    return name, tag
