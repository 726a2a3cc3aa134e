"""Tables that every service's database has: outbox, inbox, idempotency keys, leases, what consumers remember, and marks
of persons who were erased."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSON


def attach(metadata: MetaData) -> None:
    """Adds the chassis' tables to a service's metadata."""
    Table("outbox", metadata, Column("id", BigInteger, Identity(always=True), primary_key=True), *_wire())
    Table(
        "outbox_published",
        metadata,
        Column("id", BigInteger, nullable=False),
        *_wire(),
        Column("published_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        Index(None, "published_at"),
        postgresql_partition_by="RANGE (published_at)",
    )
    Table(
        "outbox_failed",
        metadata,
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        *_wire(),
        Column("reason", Text, nullable=False),
        Column("failed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )
    Table(
        "inbox",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("event_id", Uuid, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index(None, "handled_at"),
    )
    Table(
        "forgotten",
        metadata,
        Column("mark", LargeBinary, primary_key=True),
        Column("forgotten_until", DateTime(timezone=True), nullable=False),
    )
    Table(
        "idempotency_key",
        metadata,
        Column("scope", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("request_hash", LargeBinary, nullable=False),
        Column("status", SmallInteger),
        Column("headers", JSON),
        Column("body", LargeBinary),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index(None, "created_at"),
    )
    Table(
        "lease",
        metadata,
        Column("name", Text, primary_key=True),
        Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
        Column("holder", Text, nullable=False),
        Column("backend", Integer, nullable=False),
        Column("epoch", BigInteger, nullable=False, server_default="1"),
        Column("expires_at", DateTime(timezone=True), nullable=False),
        Index(None, "name", "epoch", unique=True),
    )
    Table(
        "parked",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("record_offset", BigInteger, primary_key=True),
        Column("type", Text, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary),
        Column("headers", JSON, nullable=False),
        Column("parked_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
        Index(None, "consumer", "topic", "key"),
    )
    Table(
        "resumption",
        metadata,
        Column("consumer", Text, primary_key=True),
        Column("allowed", Integer, nullable=False),
        Column("resumed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    )


def _wire() -> list[Column[object]]:
    """An event as it goes to Kafka: the final bytes, so that publishing is a copy."""
    return [
        Column("topic", Text, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("value", LargeBinary, nullable=False),
        Column("headers", JSON, nullable=False),
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    ]
