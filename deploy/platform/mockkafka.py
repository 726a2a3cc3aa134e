"""librdkafka's in-memory cluster as a process of its own, where real Kafka cannot be had.

It keeps nothing when it ends, has small logs and no true consumer groups of several members: good for a first look,
never for a test of ours. `python -m deploy.platform.mockkafka FILE` writes its address to FILE and stays.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from confluent_kafka import Producer

from contracts.topics import all_topics


def main(address_file: Path) -> None:
    producer = Producer({"bootstrap.servers": "in-memory", "test.mock.num.brokers": 1})
    for topic in all_topics():
        producer.list_topics(topic.name, timeout=10)  # asking for a topic makes it
    brokers = producer.list_topics(timeout=10).brokers.values()
    fresh = address_file.with_suffix(".new")
    fresh.write_text(",".join(f"{broker.host}:{broker.port}" for broker in brokers))
    fresh.replace(address_file)
    signal.pause()  # SIGTERM ends it: there is nothing to save


if __name__ == "__main__":
    main(Path(sys.argv[1]))
