"""Every topic of the platform: who writes it, how it is split and how long it is kept.

One topic per aggregate with all its types; one service writes it; the key is the aggregate's id. Partitions bound
the parallelism of a consumer group and are generous, because growing them later breaks the order of a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

WEEK = timedelta(days=7)
FOREVER = None
"""Kept for ever: reporting is rebuilt from these topics, and a new partner may read them from the start."""


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    producer: str
    partitions: int = 12
    retention: timedelta | None = FOREVER
    cleanup: str = "delete"

    def config(self) -> dict[str, str]:
        """Kafka's topic settings."""
        keep = -1 if self.retention is None else int(self.retention.total_seconds() * 1000)
        return {"cleanup.policy": self.cleanup, "retention.ms": str(keep)}


TOPICS: tuple[Topic, ...] = (
    Topic("accounts.organisation", producer="gateway", partitions=1),
    Topic("accounts.account", producer="gateway", partitions=6),
    Topic("ticketing.show", producer="ticketing", partitions=6),
    Topic("ticketing.hold", producer="ticketing", retention=WEEK),
    Topic("ticketing.ticket", producer="ticketing"),
    Topic("orders.order", producer="orders"),
    Topic("orders.payment", producer="orders"),
    Topic("orders.offer", producer="orders", partitions=6),
    Topic("orders.enrolment", producer="orders", partitions=6),
    Topic("crm.customer", producer="crm"),
    Topic("notifications.message", producer="notifications", retention=WEEK),
)

CONSUMER_GROUPS: tuple[str, ...] = ("orders", "ticketing", "crm", "notifications", "reporting", "gateway")
"""Each service is one consumer group of its own name; what it cannot process goes to `<group>.dlq`."""


def dead_letter_topic(group: str) -> Topic:
    return Topic(f"{group}.dlq", producer=group, partitions=1, retention=timedelta(days=30))


def all_topics() -> tuple[Topic, ...]:
    """The topics to create: those of the table and one for the dead letters of each consumer group."""
    return (*TOPICS, *(dead_letter_topic(group) for group in CONSUMER_GROUPS))
