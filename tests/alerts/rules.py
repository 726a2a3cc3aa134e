"""The alerts as they are written, and as a test reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from tests.harness import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
FILE = FOLDER / "alerts.yml"
SECONDS = {"s": 1, "m": 60, "h": 3600}
THRESHOLD = re.compile(r"((?:_seconds|_duration)\S*\)? > )(\d+)")
"""An age that an alert waits for; ages of less than a few seconds are answers, and stay."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def groups() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def rules() -> list[Rule]:
    return [
        Rule(one["alert"], one["expr"], one["labels"]["severity"], one["annotations"])
        for group in groups()["groups"]
        for one in group["rules"]
    ]


def hurried(factor: int) -> str:
    """The rules with every span and every age that they wait for divided, so that a test need not wait for minutes."""

    def span(match: re.Match[str]) -> str:
        return f"{max(int(match[1]) * SECONDS[match[2]] // factor, 1)}s"

    def age(match: re.Match[str]) -> str:
        return f"{match[1]}{max(int(match[2]) // factor, 1)}" if int(match[2]) > 10 else match[0]

    document = groups()
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = THRESHOLD.sub(age, re.sub(r"\b(\d+)([smh])\b", span, rule["expr"]))
            if "for" in rule:
                rule["for"] = re.sub(r"(\d+)([smh])", span, rule["for"])
    return yaml.safe_dump(document)
