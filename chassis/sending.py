"""Rows of the outbox on their way to one partition, in as few of Kafka's batches as they fit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from chassis import kafka, outbox


class FencedProducer(kafka.Producer):
    """Idempotent, and one of its `name` at a time: starting another one ends the right of this one to be heard.

    Kafka fences by transactional ids: whoever starts gets the id's producer with the next epoch, and a partition that
    has heard of an epoch refuses an earlier one. That is all we want of it: records go without transactions (ADR 0005).
    """

    def __init__(self, brokers: kafka.Brokers, name: str, **options: Any) -> None:
        super().__init__(brokers, transactional_id=name, acks="all", **options)

    async def start(self) -> None:
        await super().start()
        self._txn_manager.transactional_id = None


@dataclass(slots=True)
class Send:
    """Rows of one partition that travel, and are acknowledged, together."""

    rows: list[asyncpg.Record]
    acknowledged: asyncio.Future[Any]


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: tuple[int, ...]) -> int:
    partition: int = DefaultPartitioner()(key, partitions, partitions)
    return partition


async def send_rows(producer: AIOKafkaProducer, target: TopicPartition, rows: list[asyncpg.Record]) -> list[Send]:
    """Sends the rows of one partition, in as few of Kafka's batches as they fit; what was refused before goes alone."""
    sends: list[Send] = []
    packed: list[asyncpg.Record] = []
    builder = producer.create_batch()
    alone = False
    for row in rows:
        if packed and (alone or row["attempts"]):
            sends.append(await _send_batch(producer, target, builder, packed))
            builder, packed = producer.create_batch(), []
        alone = bool(row["attempts"])
        record = {"key": row["key"], "value": row["value"], "headers": outbox.headers_of(row["headers"])}
        if builder.append(timestamp=None, **record) is None:
            if packed:
                sends.append(await _send_batch(producer, target, builder, packed))
                builder, packed = producer.create_batch(), []
            if builder.append(timestamp=None, **record) is None:
                sends.append(_refuse(row, MessageSizeTooLargeError(f"{len(row['value'])} bytes")))
                continue
        packed.append(row)
    if packed:
        sends.append(await _send_batch(producer, target, builder, packed))
    return sends


async def _send_batch(
    producer: AIOKafkaProducer, target: TopicPartition, builder: BatchBuilder, rows: list[asyncpg.Record]
) -> Send:
    builder.close()
    return Send(rows, await producer.send_batch(builder, target.topic, partition=target.partition))


def _refuse(row: asyncpg.Record, error: Exception) -> Send:
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    refused.set_exception(error)
    return Send([row], refused)
