"""Every topic of the platform: who writes and reads it, how it is split and how long it is kept.

One topic per aggregate with all its types; one service writes it; the key is the aggregate's id. Partitions bound
the parallelism of a consumer group and are generous, because growing them later breaks the order of a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
FOREVER = None
"""Kept for ever: a new partner may read these topics from the start."""
NAMES = timedelta(days=400)
"""Topics that carry names: none of their records gets older. Reporting keeps an archive of its own, without names."""


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    producer: str
    readers: tuple[str, ...] = ()
    """Services that consume it or watch it live. Partners may read it, too, unless it is `internal`."""
    partitions: int = 12
    retention: timedelta | None = FOREVER
    names: bool = False
    """Whether records carry names: then none is kept longer than `retention`, otherwise none shorter."""
    cleanup: str = "delete"
    internal: bool = False

    def config(self) -> dict[str, str]:
        """Kafka's topic settings."""
        if self.retention is None:
            return {"cleanup.policy": self.cleanup, "retention.ms": "-1"}
        if not self.names:
            return {"cleanup.policy": self.cleanup, "retention.ms": _ms(self.retention)}
        # Kafka deletes whole segments, by the age of their newest record: the oldest is older by a segment's period.
        segment = min(WEEK, self.retention / 30)
        period = {"retention.ms": _ms(self.retention - segment), "segment.ms": _ms(segment)}
        return {"cleanup.policy": self.cleanup, **period}


def _ms(period: timedelta) -> str:
    return str(int(period.total_seconds() * 1000))


TOPICS: tuple[Topic, ...] = (
    Topic(
        "accounts.organisation", "gateway", ("orders", "ticketing", "crm", "notifications", "reporting"), partitions=1
    ),
    Topic("accounts.account", "gateway", ("orders", "ticketing", "crm"), partitions=6, retention=NAMES, names=True),
    Topic("accounts.letter", "gateway", ("notifications",), retention=DAY, names=True, internal=True),
    Topic(
        "ticketing.show", "ticketing", ("gateway", "orders", "ticketing", "notifications", "reporting"), partitions=6
    ),
    Topic("ticketing.hold", "ticketing", ("gateway", "ticketing", "orders"), retention=WEEK),
    Topic(
        "ticketing.ticket",
        "ticketing",
        ("gateway", "ticketing", "orders", "notifications", "reporting"),
        retention=NAMES,
        names=True,
    ),
    Topic("orders.order", "orders", ("ticketing", "crm", "notifications", "reporting"), retention=NAMES, names=True),
    Topic("orders.payment", "orders", ("notifications", "reporting")),
    Topic("orders.offer", "orders", partitions=6),
    Topic("orders.enrolment", "orders", ("notifications",), partitions=6, retention=NAMES, names=True),
    Topic("crm.customer", "crm", retention=NAMES, names=True),
    Topic("notifications.message", "notifications", ("orders",), retention=WEEK),
)

CONSUMER_GROUPS: tuple[str, ...] = ("orders", "ticketing", "crm", "notifications", "reporting", "gateway")
"""Each service is one consumer group of its own name; what it cannot process goes to `<group>.dlq`."""


def dead_letter_topic(group: str) -> Topic:
    return Topic(f"{group}.dlq", producer=group, partitions=1, retention=timedelta(days=30), names=True)


def all_topics() -> tuple[Topic, ...]:
    """The topics to create: those of the table and one for the dead letters of each consumer group."""
    return (*TOPICS, *(dead_letter_topic(group) for group in CONSUMER_GROUPS))
