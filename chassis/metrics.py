"""Metrics that every service has. Dashboards and alerts are built from these names."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

HTTP_REQUESTS = Counter("footlights_http_requests_total", "Answered requests", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "footlights_http_request_seconds", "Time until an answer begins", ["method", "route"], buckets=SECONDS
)
CONNECTIONS_CUT = Counter(
    "footlights_connections_cut_total", "Connections that were ended because of how a client used them", ["reason"]
)

OUTBOX_DEPTH = Gauge("footlights_outbox_depth", "Events waiting to be published")
OUTBOX_AGE = Gauge("footlights_outbox_oldest_seconds", "Age of the oldest event waiting to be published")
OUTBOX_PUBLISHED = Counter("footlights_outbox_published_total", "Events published", ["topic"])
OUTBOX_FAILED = Counter("footlights_outbox_failed_total", "Events set aside because Kafka refuses them", ["topic"])
OUTBOX_HOURS_AHEAD = Gauge("footlights_outbox_hours_ahead", "Hours for which there is room for published events")
HOUSEKEEPING_FAILURES = Counter(
    "footlights_housekeeping_failures_total", "Times the room for published events, or the outbox, was not looked after"
)
RELAY_LEADER = Gauge("footlights_relay_leader", "1 while this process publishes the outbox")
RELAY_RESTARTS = Counter("footlights_relay_restarts_total", "Times the relay had to reconnect")

EVENTS_HANDLED = Counter("footlights_events_handled_total", "Events handled", ["type"])
EVENTS_SKIPPED = Counter("footlights_events_skipped_total", "Records not handled", ["reason"])
EVENTS_PARKED = Gauge(
    "footlights_events_parked", "Records that wait for a version that knows their type, or behind one"
)
EVENTS_PARKED_AGE = Gauge("footlights_events_parked_oldest_seconds", "How long the oldest of them has waited")
EVENT_AGE = Histogram(
    "footlights_event_age_seconds", "Time from an event to its handling, of the oldest in each batch", buckets=SECONDS
)
BATCH_SIZE = Histogram("footlights_consumer_batch_size", "Records per batch", buckets=(1, 5, 20, 50, 100, 200, 500))
CONSUMER_RETRIES = Counter("footlights_consumer_retries_total", "Batches retried after a passing error")
CONSUMER_RESTARTS = Counter("footlights_consumer_restarts_total", "Times the consumer was made anew")
CONSUMER_LAG = Gauge("footlights_consumer_lag", "Records not yet handled", ["topic"])
CONSUMER_STOPPED = Gauge("footlights_consumer_stopped", "1 after too many dead letters")
DEAD_LETTERS = Counter("footlights_dead_letters_total", "Records given up", ["reason"])

JOB_SUCCEEDED = Gauge(
    "footlights_job_succeeded_timestamp_seconds",
    "When a background job last succeeded or was begun; NaN while another replica does it",
    ["job"],
)
JOB_INTERVAL = Gauge("footlights_job_interval_seconds", "The longest rest of a background job", ["job"])
JOB_RUNS = Counter("footlights_job_runs_total", "Runs of a background job", ["job", "outcome"])
FORGOTTEN = Counter("footlights_forgotten_total", "Rows deleted or erased because their time was over", ["table"])
JOB_DONE = Counter("footlights_job_done_total", "Things done by a background job", ["job"])
