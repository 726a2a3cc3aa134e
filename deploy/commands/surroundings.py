"""Where the command line finds Kafka and the databases: in the environment, else in the note of a running `make up`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from chassis.kafka import Brokers
from chassis.settings import KafkaSettings
from deploy.platform.home import Home, default_home


@dataclass(frozen=True, slots=True)
class Surroundings:
    home: Home
    note: dict[str, Any]

    @classmethod
    def find(cls) -> Surroundings:
        home = Home(default_home())
        return cls(home, home.read_note() if home.owner() else {})

    @property
    def knows_kafka(self) -> bool:
        return bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or self.note.get("kafka"))

    @property
    def kafka(self) -> Brokers:
        if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            try:
                return KafkaSettings()
            except ValidationError as error:
                _end("; ".join(each["msg"] for each in error.errors()))
        return str(self.note.get("kafka") or _missing("No Kafka is known.", "KAFKA_BOOTSTRAP_SERVERS"))

    def database(self, service: str, role: str = "worker") -> str:
        """The URL of a service's database for a role: owner, api or worker."""
        name = "DATABASE_URL" if role == "owner" else f"DATABASE_{role.upper()}_URL"
        return str(
            os.environ.get(f"{name}_{service.upper()}")
            or self.note.get("databases", {}).get(service, {}).get(name)
            or os.environ.get(name)
            or _missing(f"The database of {service} is not known.", f"{name}_{service.upper()}")
        )

    def knows_database(self, service: str) -> bool:
        return bool(
            os.environ.get(f"DATABASE_WORKER_URL_{service.upper()}") or self.note.get("databases", {}).get(service)
        )


def _missing(what: str, variable: str) -> NoReturn:
    _end(f"{what} Start the platform (`make up`), or set {variable}.")


def _end(why: str) -> NoReturn:
    typer.secho(why, fg="red", err=True)
    raise typer.Exit(1)
