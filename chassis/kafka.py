"""Clients of Kafka: the only place that makes them, so that all of them know how one gets in.

`Brokers` is either the settings or addresses alone, which means brokers that ask for nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from chassis.settings import KafkaSettings

Brokers: TypeAlias = KafkaSettings | str

LOOK_SECONDS = 5.0
REFUSED = "wrong name or password"
"""Stands in `trouble` if waiting will not mend it."""
SECURITY = {"SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512, "PLAIN": SASLPlaintext}


class Producer(AIOKafkaProducer):  # type: ignore[misc]
    """Says why it cannot start. Raises `KafkaConnectionError`."""

    def __init__(self, brokers: Brokers, **options: Any) -> None:
        super().__init__(**_aiokafka(brokers), **options)
        self._brokers = brokers

    async def start(self) -> None:
        try:
            await super().start()
        except KafkaConnectionError as error:
            raise KafkaConnectionError(await trouble(self._brokers)) from error


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Says why it cannot start. Raises `KafkaConnectionError`."""

    def __init__(self, brokers: Brokers, *topics: str, **options: Any) -> None:
        super().__init__(*topics, **_aiokafka(brokers), **options)
        self._brokers = brokers

    async def start(self) -> None:
        try:
            await super().start()
        except KafkaConnectionError as error:
            raise KafkaConnectionError(await trouble(self._brokers)) from error


def broker(brokers: Brokers, **options: Any) -> KafkaBroker:
    """FastStream's, which makes its consumers itself."""
    settings = _settings(brokers)
    if settings.kafka_by_password:
        options["security"] = SECURITY[settings.kafka_sasl_mechanism](
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            ssl_context=_trust(settings),
            use_ssl=settings.kafka_by_tls,
        )
    elif settings.kafka_by_tls:
        options["security"] = BaseSecurity(ssl_context=_trust(settings), use_ssl=True)
    return KafkaBroker(settings.kafka_bootstrap_servers.split(","), **options)


def librdkafka(brokers: Brokers) -> dict[str, str | int | float | bool]:
    """The configuration of a client of confluent-kafka."""
    settings = _settings(brokers)
    found: dict[str, str | int | float | bool] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_ca_file:
        found["ssl.ca.location"] = settings.kafka_ca_file
    if settings.kafka_by_password:
        found["sasl.mechanism"] = settings.kafka_sasl_mechanism
        found["sasl.username"] = settings.kafka_username
        found["sasl.password"] = settings.kafka_password.get_secret_value()
    return found


async def trouble(brokers: Brokers) -> str:
    """Why one cannot get in, in words that name the setting; empty if one can, by any of the addresses."""
    settings = _settings(brokers)
    addresses = settings.kafka_bootstrap_servers.split(",")
    answers = await asyncio.gather(*(_look(settings, address.strip()) for address in addresses))
    return "" if "" in answers else "; ".join(dict.fromkeys(answers))


async def _look(settings: KafkaSettings, address: str) -> str:
    try:
        host, _, port = address.rpartition(":")
        options = _aiokafka(settings)
        del options["bootstrap_servers"]
        async with asyncio.timeout(LOOK_SECONDS):
            connection = await create_conn(host, int(port), **options)
    except (OSError, KafkaError, ValueError) as error:
        return f"{address}: {_in_words(error, settings)}"
    connection.close()
    return ""


def _in_words(error: Exception, settings: KafkaSettings) -> str:
    reason = error.__cause__ or error.__context__ or error
    if "SaslAuthenticationFailed" in repr(error):
        return f"{REFUSED} for {settings.kafka_username} (KAFKA_USERNAME, KAFKA_PASSWORD)"
    return f"{type(reason).__name__} {reason}"


def _settings(brokers: Brokers) -> KafkaSettings:
    # Not from the environment: addresses alone must not be shown the password of another Kafka.
    return KafkaSettings.model_construct(kafka_bootstrap_servers=brokers) if isinstance(brokers, str) else brokers


def _aiokafka(brokers: Brokers) -> dict[str, Any]:
    settings = _settings(brokers)
    found: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": _trust(settings),
    }
    if settings.kafka_by_password:
        found["sasl_mechanism"] = settings.kafka_sasl_mechanism
        found["sasl_plain_username"] = settings.kafka_username
        found["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return found


def _trust(settings: KafkaSettings) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=settings.kafka_ca_file or None) if settings.kafka_by_tls else None
