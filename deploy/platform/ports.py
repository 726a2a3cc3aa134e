"""Which port each part listens on, all of them on 127.0.0.1, counted from one base port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.platform.processes import StartFailed, answers, free_ports, port_owner

BASE = 8000
SERVICES: tuple[str, ...] = ("gateway", "orders", "ticketing", "crm", "notifications", "reporting")


@dataclass(frozen=True, slots=True)
class Ports:
    services: Mapping[str, int]
    sandbox: int
    mail_page: int
    smtp: int
    postgres: int
    kafka: tuple[int, ...]
    controllers: tuple[int, ...]
    base: int | None = None
    kafka_metrics: tuple[int, ...] = ()
    """Where brokers show their figures to Prometheus; nobody asks them unless told to."""

    @classmethod
    def counted_from(cls, base: int = BASE, brokers: int = 1) -> Ports:
        """The usual ports: the gateway at the base, Kafka 92 above it, and so on."""
        return cls(
            services={service: base + number for number, service in enumerate(SERVICES)},
            sandbox=base + 10,
            mail_page=base + 25,
            smtp=base + 26,
            postgres=base + 32,
            kafka=tuple(base + 92 + 2 * number for number in range(brokers)),
            controllers=tuple(base + 93 + 2 * number for number in range(brokers)),
            base=base,
        )

    @classmethod
    def free(cls, brokers: int = 1) -> Ports:
        """Ports that nobody uses now, for a platform beside others."""
        first = len(SERVICES)
        found = free_ports(first + 4 + 2 * brokers)
        return cls(
            services=dict(zip(SERVICES, found[:first], strict=True)),
            sandbox=found[first],
            mail_page=found[first + 1],
            smtp=found[first + 2],
            postgres=found[first + 3],
            kafka=tuple(found[first + 4 : first + 4 + brokers]),
            controllers=tuple(found[first + 4 + brokers :]),
        )


def refuse_taken(wanted: Mapping[str, int]) -> None:
    """`StartFailed` for the first port that somebody listens on, naming the part that wants it and who has it."""
    for part, port in wanted.items():
        if answers(port):
            owner = port_owner(port)
            by = f" by {owner}" if owner else ""
            remedy = "stop that program, or move all ports: `make up PORT=9000`"
            raise StartFailed(part, f"port {port} is taken{by}", remedy=remedy)
