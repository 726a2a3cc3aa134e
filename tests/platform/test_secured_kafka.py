"""A Kafka with TLS, accounts and access control: the rights come from contracts/topics.py by one command."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from chassis import kafka
from chassis.settings import KafkaSettings
from contracts.crm import CustomerRegistered
from contracts.envelope import Event, decode
from deploy.checks import partner_view
from deploy.commands import acls
from deploy.platform import topics
from services.crm.main import create
from tests.authority import Authority
from tests.crm.conftest import settings_for
from tests.events import OrderStory, organisation_registered
from tests.harness import Kafka, Postgres, TokenMint, kafka_cluster, serve
from tests.platform.test_commands import footlights

ADMIN = "admin-secret"


@dataclass
class Secured:
    """A broker that lets in accounts by TLS, and what the operators know."""

    broker: Kafka
    authority: Authority
    passwords: dict[str, str] = field(default_factory=lambda: {"admin": ADMIN})

    def access(self, name: str, **other: str) -> KafkaSettings:
        return KafkaSettings(**{key.lower(): value for key, value in (self.environment(name) | other).items()})

    def environment(self, name: str) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA_FILE": str(self.authority.file),
            "KAFKA_USERNAME": name,
            "KAFKA_PASSWORD": self.passwords[name],
        }


@pytest.fixture(scope="module")
async def secured(server_folder: Path) -> AsyncIterator[Secured]:
    folder = server_folder / "secured-kafka"
    folder.mkdir()
    authority = Authority(folder)
    certificate, key = authority.server("kafka", "127.0.0.1")
    chain = folder / "kafka.pem"
    chain.write_bytes(key.read_bytes() + certificate.read_bytes())
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(chain),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f'{login} username="admin" password="{ADMIN}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controllers' own listener, which no client reaches, knows no accounts.
        "super.users": "User:admin;User:ANONYMOUS",
    }
    with kafka_cluster(folder, light=True, listener="SASL_SSL", settings=settings, accounts={"admin": ADMIN}) as broker:
        found = Secured(broker, authority)
        await topics.apply(found.access("admin"))
        await acls.let_services(found.access("admin"))
        for name in ("orders", "crm", "gateway", "our-company"):
            found.passwords[name] = await acls.new_password(found.access("admin"), name)
        yield found


async def test_a_service_works_with_the_rights_of_the_contracts(
    secured: Secured, postgres: Postgres, tokens: TokenMint, monkeypatch: pytest.MonkeyPatch
):
    """crm reads its topics in its group, and its relay publishes; a partner reads what came of it, and cannot write."""
    await acls.let_partner(secured.access("admin"), "our-company", ["crm.customer"])
    urls = await postgres.create_database("crm")
    settings = settings_for(urls, None, tokens).model_copy(update=secured.access("crm").model_dump())
    organisation = uuid4()
    async with serve(create(settings)):
        await _send(secured.access("gateway"), [organisation_registered(organisation)])
        await _send(secured.access("orders"), [OrderStory(organisation).placed()])
        partner = secured.access("our-company")
        options = {"group_id": "our-company.new", "auto_offset_reset": "earliest"}
        async with kafka.Consumer(partner, "crm.customer", **options) as reader:
            record = await asyncio.wait_for(reader.getone(), 60)
            told = decode(record.headers, record.value)
            await reader.commit()
    assert isinstance(told.data, CustomerRegistered)
    assert told.organisation == organisation
    await asyncio.to_thread(_reads_as_partners_are_told, secured, monkeypatch)
    await _is_refused(partner, "crm.customer")
    with pytest.raises(TopicAuthorizationFailedError):
        async with kafka.Consumer(partner, "orders.order", group_id="our-company") as reader:
            await reader.getone()
    with pytest.raises(GroupAuthorizationFailedError):
        async with kafka.Consumer(partner, "crm.customer", group_id="crm") as reader:
            await reader.getone()
    await acls.let_partner(secured.access("admin"), "our-company", [])
    with pytest.raises(TopicAuthorizationFailedError):
        async with kafka.Consumer(partner, "crm.customer") as reader:
            await reader.getone()


async def test_a_service_cannot_write_to_the_topics_of_another(secured: Secured):
    await _is_refused(secured.access("orders"), "ticketing.ticket")
    await _is_refused(secured.access("orders"), "crm.dlq")


async def test_a_wrong_password_is_named_plainly(secured: Secured):
    wrong = secured.access("orders", KAFKA_PASSWORD="guessed")
    plainly = re.escape("wrong name or password for orders (KAFKA_USERNAME, KAFKA_PASSWORD)")
    for client in (kafka.Producer(wrong), kafka.Consumer(wrong, "orders.order")):
        with pytest.raises(KafkaConnectionError, match=plainly):
            await client.start()
        await client.stop()
    code, output = await footlights("topics", "list", **secured.environment("orders") | {"KAFKA_PASSWORD": "guessed"})
    assert code == 1
    assert re.search(plainly, output), output
    assert "guessed" not in output
    assert "Traceback" not in output


async def test_a_broker_that_nobody_vouches_for_is_not_told_the_password(secured: Secured, own_folder: Path):
    stranger = str(Authority(own_folder).file)
    assert "CERTIFICATE_VERIFY_FAILED" in await kafka.trouble(secured.access("orders", KAFKA_CA_FILE=stranger))
    other_name = secured.broker.bootstrap_servers.replace("127.0.0.1", "localhost")
    elsewhere = secured.access("orders", KAFKA_BOOTSTRAP_SERVERS=other_name)
    assert "not valid for 'localhost'" in await kafka.trouble(elsewhere)


async def test_applying_rights_again_changes_nothing_and_tells_of_foreign_ones(secured: Secured):
    admin, foreign = secured.access("admin"), "read topic crm.customer"
    assert all("0 of them new" in line for line in await acls.let_services(admin))
    await acls.let_partner(admin, "reporting", ["crm.customer"])
    assert f"User:reporting may besides: {foreign}" in await acls.let_services(admin)
    code, output = await footlights("acls", "apply", "--prune", **secured.environment("admin"))
    assert (code, f"User:reporting lost: {foreign}" in output) == (0, True), output
    assert all("0 of them new" in line for line in await acls.let_services(admin))


async def test_only_an_administrator_gives_rights(secured: Secured):
    code, output = await footlights("acls", "partner", "me", "--topic", "orders.order", **secured.environment("orders"))
    assert (code, "CLUSTER_AUTHORIZATION_FAILED" in output, "Traceback" in output) == (1, True, False), output


async def _send(access: KafkaSettings, events: Sequence[Event[Any]]) -> None:
    async with kafka.Producer(access, acks="all", enable_idempotence=True) as producer:
        for event in events:
            await producer.send_and_wait(event.topic, event.data.to_json(), key=event.key, headers=event.headers())


def _reads_as_partners_are_told(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", secured.passwords["our-company"])
    given = ["--bootstrap", secured.broker.bootstrap_servers, "--ca", str(secured.authority.file)]
    assert partner_view.main([*given, "--username", "our-company", "--topic", "crm.customer"]) == 0


async def _is_refused(access: KafkaSettings, topic: str) -> None:
    producer = kafka.Producer(access, acks="all", request_timeout_ms=3_000)
    await producer.start()
    with pytest.raises(TopicAuthorizationFailedError):
        await producer.send_and_wait(topic, b"forged")
    await producer.stop()
