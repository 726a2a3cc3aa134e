"""The environment of every process of the platform, in one place to read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chassis.keys import Signer
from chassis.settings import KafkaSettings
from deploy.platform.databases import DatabaseUrls
from deploy.platform.home import Home
from deploy.platform.ports import SERVICES, Ports
from deploy.platform.processes import base_environment

LOCAL = "http://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Existing:
    """Servers that run already and are used instead of embedded ones."""

    databases: Mapping[str, str] = field(default_factory=dict)
    """Owner URL by service."""
    kafka: str = ""
    smtp: str = ""

    @classmethod
    def from_environment(cls) -> Existing:
        """DATABASE_URL_<SERVICE>, KAFKA_BOOTSTRAP_SERVERS and SMTP_URL."""
        given = {service: os.environ.get(f"DATABASE_URL_{service.upper()}", "") for service in SERVICES}
        return cls(
            databases={service: url for service, url in given.items() if url},
            kafka=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            smtp=os.environ.get("SMTP_URL", ""),
        )

    @property
    def all_databases(self) -> bool:
        return all(service in self.databases for service in SERVICES)


def urls(ports: Ports) -> dict[str, str]:
    """Base addresses of everything that speaks HTTP."""
    found = {service: f"{LOCAL}:{port}" for service, port in ports.services.items()}
    return found | {"sandbox": f"{LOCAL}:{ports.sandbox}", "mail": f"{LOCAL}:{ports.mail_page}"}


def command(name: str, ports: Ports) -> list[str]:
    """How a part is started."""
    if name == "sandbox":
        serve = ["-m", "uvicorn", "deploy.sandbox.app:app", "--host", "127.0.0.1", "--port", str(ports.sandbox)]
        return [sys.executable, *serve, "--no-access-log", "--timeout-graceful-shutdown", "3"]
    if name == "mail":
        return [sys.executable, "-m", "deploy.platform.mailcatcher"]
    return [sys.executable, "-m", "chassis.run", name]


def environment(
    name: str, *, home: Home, ports: Ports, kafka: str, smtp: str, database: DatabaseUrls | None
) -> dict[str, str]:
    """All that a part is told; every service starts from the same and adds its own."""
    keys = home.secrets()
    inherited = base_environment() | {"PYTHONUNBUFFERED": "1"}
    if name == "mail":
        mine = {"PORT": ports.mail_page, "SMTP_PORT": ports.smtp, "MAIL_FOLDER": home.mail}
        return inherited | {key: str(value) for key, value in mine.items()}
    at = urls(ports)
    if name == "sandbox":
        folder = str(home.path / "sandbox")
        return inherited | _sandbox(keys) | {"SANDBOX_HOME": folder, "SANDBOX_PUBLIC_URL": at["sandbox"]}
    if database is None:
        raise ValueError(f"{name} needs a database")
    common = {
        "FOOTLIGHTS_ENV": os.environ.get("FOOTLIGHTS_ENV", "development"),
        "STOP_GRACE_SECONDS": "4",  # who starts a platform on a machine waits for its end
        "HOST": "127.0.0.1",
        "PORT": str(ports.services[name]),
        **_access_to_existing_kafka(),
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "KAFKA_INSTANCE": f"{name}-1",
        "AUTH_JWKS_URL": f"{at['gateway']}/.well-known/jwks.json",
        "PUBLIC_URL": at["gateway"],
        "LINK_SECRET": keys[f"{name.upper()}_LINK_SECRET"],
        "ERASURE_KEY": keys["ERASURE_KEY"],
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "json"),
        **database.environment(),
    }
    return inherited | common | _own(name, keys, at, smtp)


def _access_to_existing_kafka() -> dict[str, str]:
    """How one gets in to a Kafka that runs already; ours asks for nothing."""
    given = KafkaSettings.model_fields if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") else {}
    return {name.upper(): os.environ[name.upper()] for name in given if name.upper() in os.environ}


def _own(name: str, keys: Mapping[str, str], at: Mapping[str, str], smtp: str) -> dict[str, str]:
    """What only this service is told."""
    match name:
        case "gateway":
            return {f"{service.upper()}_URL": at[service] for service in SERVICES if service != "gateway"} | {
                "LETTER_SECRET": keys["LETTER_SECRET"],
                "TOKEN_SIGNING_KEY": keys["TOKEN_SIGNING_KEY"],
                "TOKEN_PUBLISHED_KEYS": os.environ.get("TOKEN_PUBLISHED_KEYS", ""),
            }
        case "orders":
            return _sandbox(keys) | {
                "QUOTE_JWKS_URL": f"{at['ticketing']}/.well-known/jwks.json",
                "SANDBOX_URL": at["sandbox"],
                "PAYMENT_PROVIDER": os.environ.get("PAYMENT_PROVIDER", "sandbox"),
            }
        case "ticketing":
            return {
                "QUOTE_SIGNING_KEY": keys["QUOTE_SIGNING_KEY"],
                "QUOTE_PUBLISHED_KEYS": os.environ.get("QUOTE_PUBLISHED_KEYS", ""),
                "TICKET_SIGNING_KEY": keys["TICKET_SIGNING_KEY"],
                "TICKET_PUBLISHED_KEYS": os.environ.get("TICKET_PUBLISHED_KEYS", ""),
            }
        case "notifications":
            sender = os.environ.get("MAIL_FROM", "Footlights <tickets@footlights.example>")
            return {"SMTP_URL": smtp, "MAIL_FROM": sender, "LETTER_SECRET": keys["LETTER_SECRET"]}
    return {}


def _sandbox(keys: Mapping[str, str]) -> dict[str, str]:
    """What the sandbox and its customer share."""
    return {name: keys[name] for name in ("SANDBOX_API_KEY", "SANDBOX_WEBHOOK_SECRET")}


def keys_of_absent_signers(secrets: Mapping[str, str], services: Sequence[str]) -> dict[str, str]:
    """Some services can run without the others: they are given the public keys that they would have fetched."""
    signers = {
        "gateway": ("AUTH_JWKS", "TOKEN_SIGNING_KEY", "footlights-gateway"),
        "ticketing": ("QUOTE_JWKS", "QUOTE_SIGNING_KEY", "footlights-ticketing"),
    }
    return {
        variable: json.dumps(Signer(secrets[secret], issuer).jwks())
        for service, (variable, secret, issuer) in signers.items()
        if service not in services
    }
