"""A platform for the tests of a whole run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.platform import topics
from deploy.platform.mailcatcher import MailCatcher
from services.orders.order import links
from tests.flows.house import House
from tests.flows.stage import Stage, stage
from tests.harness import Kafka, Postgres, kafka_cluster
from tests.notifications.servers import SmsServer, listening


@pytest.fixture(scope="session")
def flows_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka without the events of other tests: the platform's services read every topic from its start."""
    with kafka_cluster(tmp_path_factory.mktemp("flows")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
async def platform(postgres: Postgres, flows_kafka: Kafka, mail_server: MailCatcher) -> AsyncIterator[Stage]:
    await topics.apply(flows_kafka.bootstrap_servers)
    sms = SmsServer()
    async with listening(sms), stage(postgres, flows_kafka, mail_server, sms) as running:
        yield running


@pytest.fixture
async def house(platform: Stage) -> House:
    """An organisation of the test's own, with a show on sale."""
    # One per process, and other tests start an orders service of their own.
    links.configure(platform.apps["orders"].state.settings)
    return await House.open(platform)
