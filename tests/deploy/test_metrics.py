"""Every metric and label that a dashboard or an alert names exists on a running platform."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

from deploy.platform import SERVICES, Platform
from tests.harness import ROOT

DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"

OF_PROMETHEUS = {"up"}
"""Prometheus makes these itself when it asks a service."""
OF_THE_SCRAPE = {"job", "instance"}
OF_EXPORTERS = ("kafka_", "pg_", "alertmanager_")
"""What others show of themselves: tests/alerts sees the alerts about it fire."""


class Query(NamedTuple):
    where: str
    text: str


def queries() -> Iterator[Query]:
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield Query(f"{path.name}: {panel['title']}", target["expr"])
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield Query(f"alert {rule['alert']}", rule["expr"])


QUERIES = list(queries())


def of_others(name: str) -> bool:
    """Whether a series is not one of ours."""
    return name in OF_PROMETHEUS or name.startswith(OF_EXPORTERS)


def parsed(query: Query) -> tuple[list[Any], set[str]]:
    """The selectors of a query, and the labels it groups by."""
    selectors: list[Any] = []
    labels: set[str] = set()

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            selectors.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(query.text), visit)
    return selectors, labels


def names(exposition: str) -> set[str]:
    """Every series name that an exposition can have, also while it has no sample yet."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", exposition, re.MULTILINE):
        found.add(name)
        if kind == "histogram":
            found |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return found


@pytest.fixture(scope="module")
async def exposed() -> AsyncIterator[dict[str, set[str]]]:
    """What each service of a running platform exposes."""
    folder = Path(tempfile.mkdtemp(prefix="footlights-metrics-"))
    folder.chmod(0o755)
    try:
        async with Platform(folder) as platform, aiohttp.ClientSession() as http:

            async def read(service: str) -> set[str]:
                async with http.get(f"{platform.urls[service]}/metrics") as answer:
                    assert answer.status == 200
                    return names(await answer.text())

            yield dict(zip(SERVICES, await asyncio.gather(*map(read, SERVICES)), strict=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def labels_of() -> dict[str, set[str]]:
    """The labels of each series, as the code declares them."""
    for module in ("chassis.metrics", *(f"services.{service}.metrics" for service in SERVICES)):
        importlib.import_module(module)
    found: dict[str, set[str]] = {}
    for collector, series in REGISTRY._collector_to_names.items():
        declared = set(getattr(collector, "_labelnames", ()))
        histogram = any(name.endswith("_bucket") for name in series)
        for name in series:
            found[name] = declared | ({"le"} if histogram else set())
    return found


def test_there_are_queries_and_each_can_be_read() -> None:
    assert len(DASHBOARDS) == 1
    assert len([query for query in QUERIES if query.where.startswith("alert")]) > 15
    for query in QUERIES:
        assert parsed(query)[0] or query.text == "vector(1)", query.where


@pytest.mark.slow
async def test_every_metric_exists_on_a_running_platform(exposed: dict[str, set[str]]) -> None:
    everywhere = set().union(*exposed.values())
    missing = {
        f"{query.where}: {selector.name}"
        for query in QUERIES
        for selector in parsed(query)[0]
        if not of_others(selector.name) and selector.name not in everywhere
    }
    assert not missing, "\n".join(sorted(missing))


@pytest.mark.slow
async def test_every_service_exposes_what_all_share(exposed: dict[str, set[str]]) -> None:
    """A panel by service would silently miss one that lacks the metric."""
    importlib.import_module("chassis.metrics")
    shared = [
        name
        for query in QUERIES
        for selector in parsed(query)[0]
        for name in [selector.name]
        if re.match(r"footlights_(http|outbox|relay|events|event|consumer|dead_letters|job)_", name)
    ]
    for service, found in exposed.items():
        assert not set(shared) - found, service


def test_every_label_exists() -> None:
    """Grouping by a label that a metric lacks shows nothing, and nobody notices."""
    known = labels_of()
    for query in QUERIES:
        selectors, grouped = parsed(query)
        if any(of_others(selector.name) and selector.name not in OF_PROMETHEUS for selector in selectors):
            continue
        possible: set[str] = set()
        for selector in selectors:
            mine = known.get(selector.name, set())
            # A label of ours that the scrape has too comes as exported_<name>.
            mine = {f"exported_{label}" if label in OF_THE_SCRAPE else label for label in mine} | OF_THE_SCRAPE
            for matcher in selector.matchers.matchers:
                assert matcher.name in mine, f"{query.where}: {selector.name} has no label {matcher.name}"
            possible |= mine
        assert grouped <= possible, f"{query.where}: {grouped - possible}"


def test_no_metric_is_forgotten() -> None:
    """What is worth measuring is worth showing: a metric of ours is on the dashboard or in an alert, or listed here."""
    unshown = {
        # Details for whoever looks closer; the panels show what they add up to.
        "footlights_bounces",
        "footlights_consumer_batch_size",
        "footlights_document_fetch_seconds",
        "footlights_events_parked",
        "footlights_events_parked_oldest_seconds",
        "footlights_forgotten",
        "footlights_gateway_forward_seconds",
        "footlights_gateway_limits_shared",
        "footlights_gateway_live_changes",
        "footlights_gateway_openapi_errors",
        "footlights_gateway_sign_ins",
        "footlights_gateway_tokens",
        "footlights_hold_batch_size",
        "footlights_hold_retries",
        "footlights_housekeeping_failures",
        "footlights_messages_unreachable",
        "footlights_outbox_hours_ahead",
        "footlights_seatmap_reads",
        "footlights_smtp_connections",
        "footlights_ticket_document_seconds",
        "footlights_ticket_documents",
    }
    shown = {selector.name for query in QUERIES for selector in parsed(query)[0]}
    shown |= {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in shown}
    labels_of()
    ours = {
        getattr(collector, "_name", "")
        for collector in REGISTRY._collector_to_names
        if type(collector).__module__.startswith("prometheus_client.metrics")
    }
    ours = {name for name in ours if name.startswith(("footlights_", "orders_"))}
    assert ours - shown - unshown == set()


def test_alerts_tell_what_to_do() -> None:
    seen = set()
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["alert"] not in seen
            seen.add(rule["alert"])
            assert rule["labels"]["severity"] in ("page", "ticket") or rule["alert"] == "Watchdog"
            assert set(rule["annotations"]) == {"summary", "remedy", "runbook"}


def test_panels_ask_the_provisioned_source() -> None:
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    uid = source["datasources"][0]["uid"]
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        assert dashboard["uid"]
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"]["uid"] == uid
                assert panel["fieldConfig"]["defaults"]["unit"]
