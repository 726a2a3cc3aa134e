"""Metrics of reporting."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PROJECTED = Counter("footlights_reporting_events_projected_total", "Events applied to the read models")
NEWEST_EVENT = Gauge(
    "footlights_reporting_newest_event_timestamp_seconds", "Time of the newest event of the last batch"
)
