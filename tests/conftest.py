"""Servers for the whole run of pytest: one PostgreSQL, one Kafka, one mail catcher, and tokens of a test gateway.

Each run starts its own in a temporary folder on free ports; they end with it, also when it is interrupted or killed.
Where many short runs follow each other, as for mutants, `TEST_POSTGRES_URL` and `TEST_KAFKA` name servers that run
already: a run takes databases and consumer groups of its own there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.platform import topics
from deploy.platform.mailcatcher import MailCatcher
from tests.harness import Given, Kafka, Postgres, TokenMint, kafka_cluster, postgres_server


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="footlights-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="footlights-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[Postgres]:
    """The shared PostgreSQL; a test that stops or kills it takes `own_postgres`."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield Postgres(Given(url))
        return
    with postgres_server(server_folder) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server(server_folder: Path) -> Iterator[Kafka]:
    if address := os.environ.get("TEST_KAFKA"):
        yield Kafka(Given(address))
        return
    with kafka_cluster(server_folder, light=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
async def kafka(kafka_server: Kafka) -> Kafka:
    """The shared Kafka with all topics; a test that stops or kills it takes `own_kafka`."""
    await topics.apply(kafka_server.bootstrap_servers)
    return kafka_server


@pytest.fixture
def own_postgres(own_folder: Path) -> Iterator[Postgres]:
    with postgres_server(own_folder) as server:
        yield server


@pytest.fixture
def own_kafka_server(own_folder: Path) -> Iterator[Kafka]:
    with kafka_cluster(own_folder, light=True) as cluster:
        yield cluster


@pytest.fixture
async def own_kafka(own_kafka_server: Kafka) -> Kafka:
    await topics.apply(own_kafka_server.bootstrap_servers)
    return own_kafka_server


@pytest.fixture(scope="session")
async def mail_server() -> AsyncIterator[MailCatcher]:
    catcher = MailCatcher()
    await catcher.start()
    yield catcher
    await catcher.stop()


@pytest.fixture
def mail(mail_server: MailCatcher) -> MailCatcher:
    """The mail catcher, empty at the start of each test."""
    mail_server.clear()
    return mail_server


@pytest.fixture(scope="session")
def tokens() -> TokenMint:
    return TokenMint()
