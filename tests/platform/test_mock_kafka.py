"""Without real Kafka: the in-memory cluster takes its place, and says what it cannot do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.platform import Platform, StartFailed, servers
from deploy.platform.jars import JarsUnavailable, ensure_jars


@pytest.fixture
def no_maven(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Maven and Kafka's jars. Every other program is there, such as those that start PostgreSQL."""
    found = shutil.which
    monkeypatch.setattr(servers, "jars_folder", lambda: own_folder / "kafka-jars")
    monkeypatch.setattr("shutil.which", lambda name: None if name == "mvn" else found(name))


def test_without_maven_the_remedy_is_told(own_folder: Path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(JarsUnavailable) as failure:
        ensure_jars(own_folder / "kafka-jars")
    assert "apt install maven" in failure.value.remedy


@pytest.mark.usefixtures("no_maven")
async def test_the_platform_falls_back_with_a_warning(own_folder: Path):
    async with Platform(own_folder / "home", services=[], allow_mock=True) as platform:
        assert platform.mock_kafka
        assert "all events are lost" in platform.warnings[0]
        producer = AIOKafkaProducer(bootstrap_servers=platform.kafka_bootstrap_servers, enable_idempotence=True)
        await producer.start()
        await producer.send_and_wait("orders.order", b"value", key=b"key")
        await producer.stop()


@pytest.mark.usefixtures("no_maven")
async def test_without_permission_to_fall_back_it_fails(own_folder: Path):
    with pytest.raises(StartFailed, match="Maven"):
        await Platform(own_folder / "home", services=[]).open()
