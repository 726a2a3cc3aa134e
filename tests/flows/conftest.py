"""A platform for the tests of a whole run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.platform.mailcatcher import MailCatcher
from tests.flows.stage import Stage, stage
from tests.harness import Kafka, Postgres


@pytest.fixture(scope="session")
async def platform(postgres: Postgres, kafka: Kafka, mail_server: MailCatcher) -> AsyncIterator[Stage]:
    async with stage(postgres, kafka, mail_server.smtp_url) as running:
        yield running
