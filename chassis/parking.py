"""Events that an older version does not know wait, in the database of their consumer, until a version comes that does.

Whatever happened later to the same aggregate waits behind them, so its order is kept; nothing else waits. They are
replayed in order, by whichever replica knows the type. Several may try at once: the inbox lets each event take effect
once, and a record is taken out only after that. So an aggregate that is not found here has nothing waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import text

from chassis import metrics
from chassis.db import Database
from contracts.envelope import TYPE_NAME

PARK = text("""
    INSERT INTO parked (consumer, topic, partition, record_offset, type, key, value, headers)
    VALUES (:consumer, :topic, :partition, :offset, :type, :key, :value, CAST(:headers AS json))
    ON CONFLICT DO NOTHING
""")
KEYS = text("SELECT DISTINCT topic, key FROM parked WHERE consumer = :consumer")
WAITING = text("""
    SELECT topic, partition, record_offset AS "offset", key, value, headers FROM parked
    WHERE consumer = :consumer AND topic = :topic AND key = :key ORDER BY partition, record_offset LIMIT :limit
""")
DONE = text("""
    DELETE FROM parked
    WHERE consumer = :consumer AND topic = :topic AND partition = :partition AND record_offset = :offset
""")
STATE = text("""
    SELECT count(*) AS n, coalesce(extract(epoch FROM clock_timestamp() - min(parked_at)), 0) AS age
    FROM parked WHERE consumer = :consumer
""")
AT_ONCE = 100

Key = tuple[str, bytes]
"""Topic and key: what is kept in order."""
Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """What we use of a record of Kafka."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Parked:
    """A record as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def is_of_topic(name: str | None, topic: str) -> bool:
    """Whether a type is one that the topic's producer may have added. Others are no business of ours."""
    return name is not None and TYPE_NAME.fullmatch(name) is not None and name.startswith(topic + ".")


def key_of(record: Record) -> Key:
    return record.topic, record.key or b""


class Parking:
    """Of one consumer."""

    def __init__(self, group: str, db: Database) -> None:
        self._group = group
        self._db = db
        self.keys: set[Key] = set()
        """What has something waiting, as far as this process knows: it asks when it gets partitions, and while there is
        something. Others may only take away from them; what they add to our partitions, we are given again."""

    async def look(self) -> None:
        async with self._db.as_worker() as session:
            found = await session.execute(KEYS, {"consumer": self._group})
            self.keys = {(topic, bytes(key)) for topic, key in found}

    async def park(self, records: Iterable[tuple[Record, str]]) -> None:
        """Records with their types. One that is parked already is not parked again."""
        rows = [
            {
                "consumer": self._group,
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "type": name,
                "key": record.key or b"",
                "value": record.value,
                "headers": _written(record.headers),
            }
            for record, name in records
        ]
        if rows:
            async with self._db.as_worker() as session:
                await session.execute(PARK, rows)

    async def waiting(self, key: Key) -> list[Parked]:
        """The oldest that wait, in order."""
        topic, name = key
        async with self._db.as_worker() as session:
            rows = await session.execute(
                WAITING, {"consumer": self._group, "topic": topic, "key": name, "limit": AT_ONCE}
            )
            return [
                Parked(row.topic, row.partition, row.offset, row.key, row.value, _read(row.headers)) for row in rows
            ]

    async def done(self, record: Parked) -> None:
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        async with self._db.as_worker() as session:
            await session.execute(DONE, {"consumer": self._group, **where})

    async def measured(self) -> list[Key]:
        """What has something waiting, by whomever it was parked; sets the gauges."""
        mine = {"consumer": self._group}
        async with self._db.as_worker() as session:
            state = (await session.execute(STATE, mine)).one()
            found = (await session.execute(KEYS, mine)).all() if state.n else []
        metrics.EVENTS_PARKED.set(state.n)
        metrics.EVENTS_PARKED_AGE.set(float(state.age))
        return [(topic, bytes(key)) for topic, key in found]


def _written(headers: Headers) -> str:
    """Any bytes as JSON: each becomes the character of its number."""
    return orjson.dumps([(name, None if raw is None else raw.decode("latin-1")) for name, raw in headers]).decode()


def _read(stored: Any) -> Headers:
    return [(name, None if raw is None else raw.encode("latin-1")) for name, raw in stored]
