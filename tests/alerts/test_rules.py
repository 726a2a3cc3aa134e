"""Each alert fires for its fault and for nothing less, as promtool computes it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.rules import FOLDER, Rule, groups, rules

PROMTOOL = shutil.which("promtool")
AMTOOL = shutil.which("amtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
needs_amtool = pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed (Debian: prometheus-alertmanager)")

JOBS = ("crm", "gateway", "notifications", "orders", "reporting", "ticketing", "kafka", "postgres", "alertmanager")
REQUESTS = 'footlights_http_requests_total{job="orders", route="/orders", status="%s"}'
ANSWERS = 'footlights_gateway_answers_total{job="gateway", status="%s"}'
PROBES = 'footlights_http_requests_total{job="orders", route="/readyz", status="503"}'
BUCKET = 'footlights_http_request_seconds_bucket{job="orders", route="/orders", le="%s"}'
HOLD = 'footlights_hold_seconds_bucket{job="ticketing", le="%s"}'
MESSAGES = 'footlights_messages_total{job="notifications", status="%s"}'
TRANSACTION = 'pg_stat_activity_max_tx_duration{instance="a", datname="footlights_orders", state="%s"}'
JOB = 'footlights_job_%s_seconds{job="orders", exported_job="refunds"}'
Series = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """Series of one value each 15 s, in promtool's notation."""

    alert: str
    fault: Series
    at: str
    quiet: Series
    """A world that looks alike and is in order."""
    labels: dict[str, str] = field(default_factory=dict)


def born(alert: str, series: str, **labels: str) -> list[Case]:
    """A counter is noticed with its first event, whether its series was there before or not."""
    quiet = {series: "3x300"}
    return [
        Case(alert, {series: "_x250 1x40"}, "66m", quiet, labels),
        Case(alert, {series: "3x250 4x40"}, "66m", quiet, labels),
        # A process that was replaced begins again.
        Case(alert, {series: "3x250 1x40"}, "66m", quiet, labels),
    ]


def up(**but: str) -> Series:
    return {f'up{{job="{job}", instance="{job}-1"}}': but.get(job, "1x100") for job in JOBS}


def gone(job: str) -> Series:
    return {series: values for series, values in up().items() if f'"{job}"' not in series}


CASES = [
    Case(
        "ServiceDown", up(orders="1x4 0x90"), "3m", up() | {'up{job="orders", instance="b"}': "0x90"}, {"job": "orders"}
    ),
    Case("ServiceDown", gone("crm"), "3m", up(), {"job": "crm"}),
    Case("ServiceDown", gone("kafka"), "3m", up(), {"job": "kafka"}),
    Case(
        "ReplicaDown",
        up() | {'up{job="orders", instance="b"}': "0x90"},
        "6m",
        up() | {'up{job="orders", instance="b"}': "0x10 1x80"},
        {"job": "orders", "instance": "b"},
    ),
    Case(
        "ManyErrors",
        {REQUESTS % 200: "0+90x100", REQUESTS % 503: "0+1x100", PROBES: "0x100"},
        "12m",
        {REQUESTS % 200: "0+110x100", REQUESTS % 503: "0+1x100", PROBES: "0+9x100"},
        {"job": "orders"},
    ),
    Case(
        "ClientsSeeErrors",
        {ANSWERS % 200: "0+90x100", ANSWERS % 503: "0+1x100"},
        "12m",
        {ANSWERS % 200: "0+110x100", ANSWERS % 503: "0+1x100", ANSWERS % 404: "0+100x100"},
    ),
    Case(
        "SlowAnswers",
        {BUCKET % 1: "0+97x100", BUCKET % "2.5": "0+100x100", BUCKET % "+Inf": "0+100x100"},
        "20m",
        {BUCKET % 1: "0+995x100", BUCKET % "2.5": "0+1000x100", BUCKET % "+Inf": "0+1000x100"},
        {"job": "orders"},
    ),
    Case(
        "ServiceUnreachable",
        {'footlights_gateway_upstream_errors_total{job="gateway", service="crm", reason="down"}': "0+1x100"},
        "6m",
        {
            'footlights_gateway_upstream_errors_total{job="gateway", service="crm", reason="client gone"}': "0+9x100",
            'footlights_gateway_upstream_errors_total{job="gateway", service="crm", reason="down"}': "0+0.1x100",
        },
        {"service": "crm"},
    ),
    Case(
        "JobFails",
        {JOB % "succeeded_timestamp": "0x200", JOB % "interval": "60x200"},
        "14m",
        {JOB % "succeeded_timestamp": "0x30 450x170", JOB % "interval": "600x200"},
        {"job": "orders", "exported_job": "refunds"},
    ),
    Case(
        "JobFails",
        {JOB % "succeeded_timestamp": "0x200", JOB % "interval": "2x200"},
        "11m",
        {JOB % "succeeded_timestamp": " ".join(["NaN"] * 100), JOB % "interval": "2x200"},
        {"job": "orders", "exported_job": "refunds"},
    ),
    Case(
        "EventsNotPublished",
        {'footlights_outbox_oldest_seconds{job="orders", instance="a"}': "0+15x100"},
        "4m",
        {'footlights_outbox_oldest_seconds{job="orders", instance="a"}': "0 15 40 0 15 40 0x90"},
        {"job": "orders"},
    ),
    *born("EventsRefused", 'footlights_outbox_failed_total{job="orders", topic="orders.order"}', job="orders"),
    Case(
        "NoRelay",
        {f'footlights_relay_leader{{job="orders", instance="{each}"}}': "1x4 0x90" for each in "ab"},
        "4m",
        {
            'footlights_relay_leader{job="orders", instance="a"}': "1x4 0x90",
            'footlights_relay_leader{job="orders", instance="b"}': "0x6 1x90",
        },
        {"job": "orders"},
    ),
    Case(
        "HousekeepingFails",
        {'footlights_housekeeping_failures_total{job="orders"}': "0+1x200"},
        "20m",
        {'footlights_housekeeping_failures_total{job="orders"}': "0x20 6x180"},
        {"job": "orders"},
    ),
    Case(
        "ConsumerBehind",
        {f'footlights_consumer_lag{{job="crm", topic="{each}"}}': "0x4 2600x90" for each in "ab"},
        "8m",
        {'footlights_consumer_lag{job="crm", topic="a"}': "9000x10 3000x80"},
        {"job": "crm"},
    ),
    Case(
        "ConsumerFails",
        {'footlights_consumer_restarts_total{job="crm"}': "0+0.25x100"},
        "16m",
        {'footlights_consumer_restarts_total{job="crm"}': "0x20 1x80"},
        {"job": "crm"},
    ),
    Case(
        "ConsumerStopped",
        {'footlights_consumer_stopped{job="crm", instance="a"}': "0x4 1x90"},
        "2m",
        {'footlights_consumer_stopped{job="crm", instance="a"}': "0x90"},
        {"job": "crm"},
    ),
    *born("DeadLetters", 'footlights_dead_letters_total{job="crm", reason="malformed"}', job="crm"),
    Case(
        "EventsParked",
        {'footlights_events_parked_oldest_seconds{job="crm", instance="a"}': "0+15x200"},
        "31m",
        # A release under way.
        {'footlights_events_parked_oldest_seconds{job="crm", instance="a"}': "0+15x100 0x100"},
        {"job": "crm"},
    ),
    Case(
        # Each try waits half a minute for a connection: slower than this no batch is repeated.
        "BatchesRetried",
        {'footlights_consumer_retries_total{job="crm"}': "0+0.4x100"},
        "18m",
        {'footlights_consumer_retries_total{job="crm"}': "0x20 3x80"},
        {"job": "crm"},
    ),
    Case(
        "LedgerUnbalanced",
        {'orders_ledger_sum{job="orders"}': "0x4 -1x90"},
        "2m",
        {'orders_ledger_sum{job="orders"}': "0x90"},
    ),
    Case(
        "LedgerUnknown",
        {f'orders_ledger_sum{{job="orders", instance="{each}"}}': " ".join(["NaN"] * 200) for each in "ab"},
        "40m",
        {
            'orders_ledger_sum{job="orders", instance="a"}': " ".join(["NaN"] * 200),
            'orders_ledger_sum{job="orders", instance="b"}': "0x200",
        },
    ),
    Case(
        "PaidWithoutTickets",
        {'orders_paid_without_tickets{job="orders"}': "2x100"},
        "12m",
        {'orders_paid_without_tickets{job="orders"}': "2x20 0x5 3x20 0x60"},
    ),
    Case(
        "RefundsWait",
        {'orders_refund_wait_seconds{job="orders"}': "0+15x200"},
        "21m",
        {'orders_refund_wait_seconds{job="orders"}': "0+15x70 0x100"},
    ),
    Case(
        "CapturesWait",
        {'orders_wanted_seconds{job="orders", call="capture"}': "0+15x200"},
        "21m",
        {'orders_wanted_seconds{job="orders", call="cancel"}': "0+15x200"},
    ),
    Case(
        "PagesStayOpen",
        {'orders_wanted_seconds{job="orders", call="cancel"}': "0+15x400"},
        "70m",
        {'orders_wanted_seconds{job="orders", call="cancel"}': "0+15x230 0x100"},
    ),
    Case(
        "DeadlinesMissed",
        {'orders_overdue_seconds{job="orders"}': "0+15x100"},
        "6m",
        {'orders_overdue_seconds{job="orders"}': "30x100"},
    ),
    *born("PaidTwice", 'orders_overpaid_total{job="orders"}'),
    *born("WrongCurrency", 'orders_payment_mismatches_total{job="orders"}'),
    Case(
        "HoldsWait",
        {HOLD % 1: "0+97x100", HOLD % "2.5": "0+100x100", HOLD % "+Inf": "0+100x100"},
        "8m",
        {HOLD % 1: "0+995x100", HOLD % "2.5": "0+1000x100", HOLD % "+Inf": "0+1000x100"},
    ),
    Case(
        "HoldsLapsed",
        {'footlights_hold_lapsed_seconds{job="ticketing"}': "0+15x100"},
        "9m",
        {'footlights_hold_lapsed_seconds{job="ticketing"}': "200x100"},
    ),
    *born("SeatsSoldElsewhere", 'footlights_conversions_refused_total{job="ticketing"}'),
    Case(
        "MessagesLate",
        {'footlights_messages_oldest_due_seconds{job="notifications"}': "0+15x100"},
        "11m",
        {'footlights_messages_oldest_due_seconds{job="notifications"}': "290x100"},
    ),
    Case(
        "MessagesFail",
        {MESSAGES % "sent": "0+10x300", MESSAGES % "failed": "0+1x300"},
        "1h5m",
        {MESSAGES % "sent": "0+100x300", MESSAGES % "failed": "0+1x300"},
    ),
    *born("MessagesUncertain", 'footlights_messages_uncertain_total{job="notifications", channel="email"}'),
    Case(
        "KafkaPartitionsOffline",
        {'kafka_controller_kafkacontroller_offlinepartitionscount{job="kafka", instance="a"}': "0x4 3x90"},
        "4m",
        {'kafka_controller_kafkacontroller_offlinepartitionscount{job="kafka", instance="a"}': "0x90"},
    ),
    Case(
        "KafkaNoController",
        {
            'kafka_controller_kafkacontroller_activecontrollercount{job="kafka", instance="a"}': "1x4 _x90",
            'kafka_controller_kafkacontroller_activecontrollercount{job="kafka", instance="b"}': "0x90",
        },
        "9m",
        {
            'kafka_controller_kafkacontroller_activecontrollercount{job="kafka", instance="a"}': "1x4 _x90",
            'kafka_controller_kafkacontroller_activecontrollercount{job="kafka", instance="b"}': "0x4 1x90",
        },
    ),
    Case(
        "KafkaUnderReplicated",
        {'kafka_server_replicamanager_underreplicatedpartitions{job="kafka", instance="a"}': "5x90"},
        "7m",
        {'kafka_server_replicamanager_underreplicatedpartitions{job="kafka", instance="a"}': "5x10 0x80"},
    ),
    Case(
        "PostgresDown",
        {'pg_up{job="postgres", instance="a"}': "1x4 0x90"},
        "3m",
        {'pg_up{job="postgres", instance="a"}': "1x90"},
        {"job": "postgres", "instance": "a"},
    ),
    Case(
        "PostgresConnections",
        {
            'pg_stat_activity_count{instance="a", state="idle"}': "200x90",
            'pg_stat_activity_count{instance="a", state="active"}': "50x90",
            'pg_settings_max_connections{instance="a"}': "300x90",
        },
        "7m",
        {
            'pg_stat_activity_count{instance="a", state="idle"}': "200x90",
            'pg_settings_max_connections{instance="a"}': "300x90",
        },
        {"instance": "a"},
    ),
    Case(
        "PostgresLongTransaction",
        {TRANSACTION % "idle in transaction": "0+15x200"},
        "37m",
        {TRANSACTION % "idle": "0+15x200"},
        {"instance": "a", "datname": "footlights_orders"},
    ),
    Case(
        "AlertsNotDelivered",
        {'alertmanager_notifications_failed_total{integration="email"}': "0x4 0+1x90"},
        "10m",
        {'alertmanager_notifications_failed_total{integration="email"}': "3x100"},
        {"integration": "email"},
    ),
]
RULES = {rule.name: rule for rule in rules()}


def told(rule: Rule, labels: dict[str, str]) -> dict[str, str]:
    """The annotations of an alert with these labels."""
    return {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels.get(match[1], ""), text)
        for name, text in rule.annotations.items()
    }


def asked(case: Case, series: Series, firing: bool) -> dict[str, Any]:
    rule = RULES[case.alert]
    expected = [{"exp_labels": {"severity": rule.severity, **case.labels}, "exp_annotations": told(rule, case.labels)}]
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected if firing else []},
        ],
    }


def promtool(folder: Path, tests: dict[str, list[dict[str, Any]]]) -> subprocess.CompletedProcess[str]:
    """Runs the tests of each alert with its rule alone: promtool would compute all others each time."""
    written = {rule["alert"]: rule for group in groups()["groups"] for rule in group["rules"]}
    files = []
    for alert, wanted in tests.items():
        rule_file, file = folder / f"{alert}.rules.yml", folder / f"{alert}.yml"
        rule_file.write_text(json.dumps({"groups": [{"name": alert, "rules": [written[alert]]}]}))
        file.write_text(json.dumps({"rule_files": [str(rule_file)], "evaluation_interval": "15s", "tests": wanted}))
        files.append(str(file))
    return subprocess.run([str(PROMTOOL), "test", "rules", *files], capture_output=True, text=True, check=False)


@needs_promtool
def test_each_alert_fires_for_its_fault_and_for_nothing_less(tmp_path: Path) -> None:
    tests: dict[str, list[dict[str, Any]]] = {}
    for case in CASES:
        both = asked(case, case.fault, firing=True), asked(case, case.quiet, firing=False)
        tests.setdefault(case.alert, []).extend(both)
    done = promtool(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_notices_an_alert_that_does_not_fire(tmp_path: Path) -> None:
    """The test above would notice."""
    case = next(case for case in CASES if case.alert == "DeadLetters")
    assert promtool(tmp_path, {case.alert: [asked(case, case.quiet, firing=True)]}).returncode == 1


def test_no_alert_is_forgotten() -> None:
    assert {case.alert for case in CASES} == set(RULES) - {"Watchdog"}


def test_each_alert_has_a_section_in_the_runbook() -> None:
    text = (FOLDER.parents[1] / "docs" / "runbook.md").read_text()
    sections = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert sections == list(RULES)
    for rule in RULES.values():
        assert rule.annotations["runbook"] == f"docs/runbook.md#{rule.name.lower()}"


@needs_promtool
def test_prometheus_reads_its_configuration() -> None:
    subprocess.run([str(PROMTOOL), "check", "config", str(FOLDER / "prometheus.yml")], check=True, capture_output=True)


@needs_amtool
def test_alertmanager_reads_its_configuration_and_knows_whom_to_tell() -> None:
    file = str(FOLDER / "alertmanager.yml")
    subprocess.run([str(AMTOOL), "check-config", file], check=True, capture_output=True)
    for labels, receiver in (
        ("severity=page", "on-call"),
        ("severity=ticket", "tickets"),
        ("alertname=Watchdog", "heartbeat"),
    ):
        route = [str(AMTOOL), "config", "routes", "test", f"--config.file={file}", labels]
        assert subprocess.run(route, check=True, capture_output=True, text=True).stdout.strip() == receiver
