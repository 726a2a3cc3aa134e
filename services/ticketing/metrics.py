"""Metrics of ticketing."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Gauge, Histogram

FAST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

HOLDS = Counter("footlights_holds_total", "Requests for seats by their answer", ["answer"])
HOLD_SECONDS = Histogram("footlights_hold_seconds", "Time a request spent in the lane", buckets=FAST_SECONDS)
HOLD_BATCH = Histogram(
    "footlights_hold_batch_size", "Holds taken by one statement", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
HOLD_WAITING = Gauge("footlights_hold_waiting", "Requests waiting in the lanes")
HOLD_RETRIES = Counter("footlights_hold_retries_total", "Batches repeated or split", ["reason"])
LAPSED_SECONDS = Gauge(
    "footlights_hold_lapsed_seconds", "Time for which the oldest hold that is over waits to hear of its order"
)
HOLDS_ENDED = Counter("footlights_holds_ended_total", "Holds that ended without tickets", ["reason"])

TICKETS = Counter("footlights_tickets_total", "Tickets issued and voided", ["what"])
CONVERSIONS_REFUSED = Counter("footlights_conversions_refused_total", "Paid orders that could not have their seats")
DOCUMENT_SECONDS = Histogram(
    "footlights_ticket_document_seconds", "Time to print a document", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5)
)
DOCUMENTS = Counter(
    "footlights_ticket_documents_total", "Documents asked for: printed, kept from before, or refused", ["answer"]
)
SEATMAP_READS = Counter("footlights_seatmap_reads_total", "Rebuilds and refreshes of the seats in memory", ["what"])


@cache
def holds(answer: str) -> Counter:
    return HOLDS.labels(answer)
