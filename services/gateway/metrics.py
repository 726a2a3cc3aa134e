"""Metrics of the gateway."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from chassis.metrics import SECONDS

ANSWERS = Counter("footlights_gateway_answers_total", "Answers to clients, whoever made them", ["status"])
FORWARDED = Counter("footlights_gateway_forwarded_total", "Requests passed to a service", ["service", "status"])
FORWARD_SECONDS = Histogram(
    "footlights_gateway_forward_seconds", "Time until a service's answer has passed", ["service"], buckets=SECONDS
)
IN_FLIGHT = Gauge("footlights_gateway_in_flight", "Requests being answered by a service", ["service"])
UPSTREAM_ERRORS = Counter("footlights_gateway_upstream_errors_total", "Services that failed us", ["service", "reason"])
REFUSED = Counter("footlights_gateway_refused_total", "Requests refused at the door", ["reason"])
SIGN_INS = Counter("footlights_gateway_sign_ins_total", "Attempts to sign in", ["outcome"])
TOKENS = Counter("footlights_gateway_tokens_total", "Internal tokens by where they came from", ["source"])
LIMITS_SHARED = Gauge("footlights_gateway_limits_shared", "1 while limits are counted with the other gateways")
LIVE_LISTENERS = Gauge("footlights_gateway_live_listeners", "Open live streams")
LIVE_CHANGES = Counter("footlights_gateway_live_changes_total", "Seat changes taken from Kafka")
LIVE_DROPPED = Counter("footlights_gateway_live_dropped_total", "Listeners sent away because they were too slow")
DOCUMENT_ERRORS = Counter("footlights_gateway_openapi_errors_total", "OpenAPI documents not had", ["service"])


@cache
def answered(status: int) -> Counter:
    return ANSWERS.labels(str(status))
