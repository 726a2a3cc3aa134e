"""Metrics of notifications."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter(
    "footlights_messages_total", "Messages that reached their final status", ["template", "channel", "status"]
)
WAITING = Gauge("footlights_messages_waiting", "Messages not yet in a final status", ["template", "status"])
OVERDUE = Gauge("footlights_messages_oldest_due_seconds", "How long the oldest message that should be out has waited")
UNREACHABLE = Counter("footlights_messages_unreachable_total", "Recipients without e-mail and phone", ["template"])
RETRIES = Counter("footlights_message_retries_total", "Attempts that will be repeated", ["channel"])
UNCERTAIN = Counter(
    "footlights_messages_uncertain_total",
    "Attempts cut off by a crash: nobody knows whether the message left",
    ["channel"],
)
BOUNCES = Counter("footlights_bounces_total", "Mails read in the mailbox of reports: recorded or unknown", ["outcome"])
SMTP_SECONDS = Histogram(
    "footlights_smtp_seconds",
    "Time the mail server took for one mail",
    ["outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
SMTP_CONNECTIONS = Counter("footlights_smtp_connections_total", "Connections to the mail server", ["outcome"])
DOCUMENT_SECONDS = Histogram("footlights_document_fetch_seconds", "Time to fetch a PDF to attach", ["outcome"])
