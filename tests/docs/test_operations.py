"""docs/operations.md names what exists and only that: settings with their defaults, metrics, commands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

from chassis.settings import ServiceSettings
from deploy.cli import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/settings.py"))


CHANGED = {"port", "client_connections", "client_unfinished"}
"""Of all services, with another default in some."""


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


def settings_of(service: str) -> type[ServiceSettings]:
    kind: type[ServiceSettings] = importlib.import_module(f"services.{service}.settings").Settings
    return kind


@pytest.mark.parametrize("title", ["All services", *(s for s in SERVICES if f"\n### {s}\n" in PAGE)])
def test_settings_exist_with_the_defaults_that_are_named(title: str) -> None:
    fields = (ServiceSettings if title == "All services" else settings_of(title)).model_fields
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]*)\|", section(title), re.MULTILINE)

    inherited = set() if title == "All services" else set(ServiceSettings.model_fields)
    named = [name.lower() for name, _ in rows]
    assert sorted(named) == sorted(set(fields) - inherited | (set(named) & CHANGED)), "each once, and none forgotten"
    for name, told in rows:
        default = fields[name.lower()].default
        if told.strip() == "*development only*":
            assert default.get_secret_value(), name
        else:
            plain = default.get_secret_value() if isinstance(default, SecretStr) else default
            assert told.strip().strip("`") == ("" if plain is None else str(plain)), name


def test_every_service_has_a_section() -> None:
    assert set(SERVICES) <= set(re.findall(r"^### ([a-z]+)$", PAGE, re.MULTILINE))


def test_metrics_exist_with_their_kind_and_labels() -> None:
    known = {}
    for module in ("chassis.metrics", *(f"services.{service}.metrics" for service in SERVICES)):
        for metric in vars(importlib.import_module(module)).values():
            if isinstance(metric, MetricWrapperBase):
                name = metric._name + ("_total" if metric._type == "counter" else "")
                known[name] = (metric._type, ", ".join(metric._labelnames))
    rows = re.findall(r"^\| `((?:footlights|orders)_\w+)` \| (\w+) \| ([^|]*)\|", PAGE, re.MULTILINE)

    assert len(rows) > 50
    assert {name: (kind, labels.strip()) for name, kind, labels in rows} == known
    assert set(re.findall(r"`((?:footlights|orders)_[a-z_]+)`", PAGE)) <= set(known)


def commands_of(app: Any) -> set[str]:
    return {command.name or command.callback.__name__ for command in app.registered_commands}


def test_commands_exist() -> None:
    groups = {group.name: commands_of(group.typer_instance) for group in app.registered_groups}
    named = set(re.findall(r"footlights ([a-z-]+)(?: ([a-z][a-z-]+))?", PAGE))

    assert {group for group, _ in named} <= commands_of(app) | set(groups)
    assert all(command in groups[group] for group, command in named if command and group in groups), named
