"""Settings of a service process, read from the environment and nowhere else.

Secrets have development defaults, marked as such; with `FOOTLIGHTS_ENV=production` they are refused, and so is whatever
says of itself that it is for development only, wherever it stands: a password in an address, too.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.envelope import EVENT_BYTES

DEVELOPMENT = "development-only"
"""Part of every development password and secret."""
SHORTEST_SECRET = 32
RESERVED = frozenset({"example", "test", "invalid", "localhost"})
PORT_AT_END = re.compile(r":\d+$")
EXAMPLES = re.compile(r"(.+\.)?example\.(com|net|org)")


class DevelopmentDefault:
    """Marks a field whose default is for development only: `Annotated[SecretStr, DevelopmentDefault()]`."""


class KafkaSettings(BaseSettings):
    """Where Kafka is and how one gets in; the same for services, the command line and whoever else connects."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    kafka_bootstrap_servers: str = "127.0.0.1:8092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_ca_file: str = ""
    """PEM file of the authority that signed the brokers' certificates; empty: those that the system trusts."""
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")

    @property
    def kafka_by_tls(self) -> bool:
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def kafka_by_password(self) -> bool:
        return self.kafka_security_protocol.startswith("SASL")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """What is set must be used: a password that nobody is shown, or an authority that nobody asks, is a mistake."""
        protocol = f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
        given = [bool(self.kafka_username), bool(self.kafka_password.get_secret_value())]
        if self.kafka_by_password and not all(given):
            raise ValueError(f"{protocol} needs KAFKA_USERNAME and KAFKA_PASSWORD")
        if not self.kafka_by_password and any(given):
            raise ValueError(f"{protocol} does not use KAFKA_USERNAME and KAFKA_PASSWORD: say SASL_SSL")
        if self.kafka_ca_file and not self.kafka_by_tls:
            raise ValueError(f"{protocol} does not use KAFKA_CA_FILE: say SSL or SASL_SSL")
        if self.kafka_ca_file and not Path(self.kafka_ca_file).is_file():
            raise ValueError(f"KAFKA_CA_FILE: there is no file {self.kafka_ca_file}")
        if self.kafka_security_protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism == "PLAIN":
            raise ValueError(f"{protocol} would send the password readable for everybody: say SASL_SSL")
        return self


class ServiceSettings(KafkaSettings):
    """What every service needs to run. A service adds its own fields in a subclass."""

    service: ClassVar[str]
    checked_elsewhere: ClassVar[frozenset[str]] = frozenset()
    """Fields whose development values a subclass refuses by a rule of its own."""

    footlights_env: Literal["development", "test", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = 8000

    database_url: str = ""
    """Of the owner role; only migrations use it."""
    database_api_url: str = "postgresql://localhost/footlights"
    """Of the role under row-level security."""
    database_worker_url: str = "postgresql://localhost/footlights"
    """Of the role without it; its statements name the organisation."""
    database_pool_size: int = 10
    trusted_network: bool = False
    """Nobody else can read what goes between us, PostgreSQL and Kafka. Without it production wants TLS for both."""

    kafka_dead_letter_limit: int = 100
    """A consumer stops after this many dead letters in an hour, so that a bad deploy does not drain a topic."""
    kafka_batch_size: int = 500
    kafka_event_bytes: int = Field(EVENT_BYTES, ge=16_384)
    """The largest event, and the most that is sent to a partition at once: just below what the brokers accept."""
    kafka_instance: str = ""
    """Names this replica in its consumer group, so that it gets its partitions back at once after a restart. It must be
    another for each replica, and the same after a restart; without it a replica leaves the group when it stops."""
    leader_lease_seconds: float = Field(10.0, ge=1, le=60)
    """A replica that leads (relay, jobs done alone) and is frozen or cut off is followed by another after this time."""

    auth_jwks_url: str = "http://127.0.0.1:8000/.well-known/jwks.json"
    auth_jwks: str = ""
    """The key set itself, instead of its address."""
    public_url: str = "http://127.0.0.1:8000"
    """Base address of the gateway, for links in messages."""
    link_secret: Annotated[SecretStr, DevelopmentDefault()] = SecretStr("development-only-link-secret-32-bytes!")
    erasure_key: Annotated[SecretStr, DevelopmentDefault()] = SecretStr("development-only-erasure-key-32-bytes")
    """Hides who was erased, in every service and for `footlights persons` the same. With another one they are
    remembered again."""

    trusted_proxies: str = ""
    """Networks whose X-Forwarded-For is believed."""
    head_bytes: int = Field(32 * 1024, ge=1024)
    """Size of the head of a request."""
    head_seconds: float = Field(10.0, gt=0)
    """How long a head may take, and how long a connection may be silent before its first request."""
    body_bytes_per_second: float = Field(1000.0, ge=0)
    """Least rate of a body, on the average of `body_window_seconds`; nothing at all may come for less than that."""
    body_window_seconds: float = Field(15.0, gt=0)
    body_seconds: float = Field(1800.0, gt=0)
    """How long a body may take, at whatever rate."""
    send_seconds: float = Field(60.0, gt=0)
    """How long a client may read nothing of an answer that waits for it."""
    keep_alive_seconds: int = Field(5, ge=1)
    """How long a connection is kept between two requests."""
    client_connections: int = Field(0, ge=0)
    """Connections that one client (an IPv4 address, an IPv6 /64; not a proxy) may have; 0 turns the limit off."""
    client_unfinished: int = Field(0, ge=0)
    """Requests that one client may have begun and not finished sending; 0 turns the limit off."""
    stop_grace_seconds: int = Field(25, ge=0)
    """How long requests under way may go on after SIGTERM."""

    max_json_bytes: int = Field(64 * 1024, ge=1024)
    """Size of a body, but for the few routes that say otherwise."""

    inbox_days: int = Field(35, ge=31)
    """How long handled events are remembered: longer than dead letters can be replayed, which is 30 days."""
    idempotency_days: int = Field(7, ge=1)
    """How long the answer to an `Idempotency-Key` is kept."""

    log_level: str = "INFO"
    log_format: Literal["console", "json"] = "json"
    otel_exporter_otlp_endpoint: str = ""
    """Tracing is off while this is empty."""

    @property
    def exempt_networks(self) -> str:
        """Networks that may have any number of connections."""
        return ""

    @model_validator(mode="after")
    def _refuse_development_defaults(self) -> Self:
        if self.footlights_env != "production":
            return self
        kept = [
            name.upper()
            for name, field in type(self).model_fields.items()
            if any(isinstance(mark, DevelopmentDefault) for mark in field.metadata)
            and _plain(getattr(self, name)) == _plain(field.default)
        ]
        if kept:
            raise ValueError(f"set in production, the development default is refused: {', '.join(kept)}")
        marked = [
            name.upper()
            for name in type(self).model_fields
            if name not in self.checked_elsewhere and DEVELOPMENT in str(_plain(getattr(self, name)))
        ]
        if marked:
            raise ValueError(f"made for development only, refused in production: {', '.join(marked)}")
        if not self.trusted_network:
            self._refuse_plain_connections()
        for name in ("link_secret", "erasure_key"):
            if len(getattr(self, name).get_secret_value()) < SHORTEST_SECRET:
                raise ValueError(f"{name.upper()} needs at least {SHORTEST_SECRET} characters in production")
        return self

    def _refuse_plain_connections(self) -> None:
        addresses = {name: getattr(self, name) for name in ("database_url", "database_api_url", "database_worker_url")}
        plain = [name.upper() for name, url in addresses.items() if url and not (is_by_tls(url) or is_all_local(url))]
        hosts = [PORT_AT_END.sub("", server.strip()) for server in self.kafka_bootstrap_servers.split(",")]
        if not self.kafka_by_tls and not all(map(is_local, hosts)):
            plain.append("KAFKA_SECURITY_PROTOCOL")
        if plain:
            raise ValueError(
                f"others could read these connections, refused in production: {', '.join(plain)}. Use TLS "
                "(`?sslmode=verify-full`, SASL_SSL), or say TRUSTED_NETWORK=true if nobody else is in that network"
            )


def is_by_tls(database_url: str) -> bool:
    return parse_qs(urlsplit(database_url).query).get("sslmode", [""])[-1] in ("require", "verify-ca", "verify-full")


def is_all_local(database_url: str) -> bool:
    """Whether all its hosts are this machine, or a socket in its file system."""
    parts = urlsplit(database_url)
    named = ",".join((parts.netloc.rpartition("@")[2], *parse_qs(parts.query).get("host", ())))
    hosts = [PORT_AT_END.sub("", host) for host in named.split(",")]
    return all(not host or host.startswith("/") or is_local(host) for host in hosts)


def is_local(host: str) -> bool:
    """Whether a name or address leads to this machine alone."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return host.lower().rstrip(".").rpartition(".")[2] == "localhost"


def is_reserved(domain: str) -> bool:
    """Whether nobody outside can be reached under a name (RFC 2606, 6761): examples and tests."""
    name = domain.lower().rstrip(".")
    return name.rpartition(".")[2] in RESERVED or bool(EXAMPLES.fullmatch(name))


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
