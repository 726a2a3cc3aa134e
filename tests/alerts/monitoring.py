"""Prometheus, Alertmanager and the exporters beside a platform, with the committed configuration in a hurry."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from deploy.platform import SERVICES, Platform
from deploy.platform.processes import Child, free_ports
from tests.alerts.rules import FOLDER, hurried
from tests.harness import eventually
from tests.notifications.servers import SmtpServer

PROGRAMS = {
    name: shutil.which(name) for name in ("prometheus", "prometheus-alertmanager", "prometheus-postgres-exporter")
}
FACTOR = 30
"""Five minutes of an alert are ten seconds here."""
PATIENCE = 150
"""Seconds until an alert that must come has come, on a machine that others use too."""


class Monitoring:
    """What watches a platform. `mail` is where people are told."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = folder
        self.mail = SmtpServer()
        self._ports = dict(zip(PROGRAMS, free_ports(len(PROGRAMS)), strict=True))
        self._children: dict[str, Child] = {}

    async def __aenter__(self) -> Self:
        await self.mail.start()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(self._prometheus()))
        (self._folder / "alerts.yml").write_text(hurried(FACTOR))
        (self._folder / "alertmanager.yml").write_text(yaml.safe_dump(self._alertmanager()))
        assert self._platform.postgres is not None
        database = {"DATA_SOURCE_NAME": f"{self._platform.postgres.url()}?sslmode=disable"}
        self._start(
            "prometheus-postgres-exporter",
            f"--web.listen-address={self._at('prometheus-postgres-exporter')}",
            env=database,
        )
        self._start(
            "prometheus-alertmanager",
            f"--config.file={self._folder / 'alertmanager.yml'}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address={self._at('prometheus-alertmanager')}",
            "--cluster.listen-address=",
        )
        self._start(
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'prometheus'}",
            f"--web.listen-address={self._at('prometheus')}",
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.kill()
        await self._http.close()
        await self.mail.stop()

    async def firing(self) -> list[dict[str, str]]:
        """Labels of the alerts that fire now."""
        async with self._http.get(f"http://{self._at('prometheus')}/api/v1/alerts") as answer:
            alerts = (await answer.json())["data"]["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    async def fires(self, alert: str, **labels: str) -> None:
        """Returns when the alert fires with these labels."""

        async def check() -> bool:
            firing = await self.firing()
            assert any({"alertname": alert, **labels}.items() <= each.items() for each in firing), (alert, labels)
            return True

        await eventually(check, timeout=PATIENCE, interval=0.5)

    async def ends(self, alert: str, **labels: str) -> None:
        """Returns when the alert does not fire any more with these labels."""

        async def check() -> bool:
            firing = await self.firing()
            assert not any({"alertname": alert, **labels}.items() <= each.items() for each in firing), (alert, labels)
            return True

        await eventually(check, timeout=PATIENCE, interval=0.5)

    async def watches(self) -> None:
        """Returns when every target has been asked."""

        async def check() -> bool:
            async with self._http.get(f"http://{self._at('prometheus')}/api/v1/targets") as answer:
                targets = (await answer.json())["data"]["activeTargets"]
            assert targets
            assert {target["health"] for target in targets} == {"up"}, targets
            return True

        await eventually(check, timeout=PATIENCE)

    def _at(self, program: str) -> str:
        return f"127.0.0.1:{self._ports[program]}"

    def _start(self, program: str, *options: str, env: Mapping[str, str] | None = None) -> None:
        command = [str(PROGRAMS[program]), *options]
        child = Child(program, command, log=self._folder / f"{program}.log", env=env)
        child.spawn()
        self._children[program] = child

    def _targets(self) -> dict[str, list[str]]:
        ports = self._platform.ports
        found = {service: [f"127.0.0.1:{ports.services[service]}"] for service in SERVICES}
        return found | {
            "kafka": [f"127.0.0.1:{port}" for port in ports.kafka_metrics],
            "postgres": [self._at("prometheus-postgres-exporter")],
            "alertmanager": [self._at("prometheus-alertmanager")],
        }

    def _prometheus(self) -> dict[str, Any]:
        """The committed file, with this platform's addresses instead of names that only compose knows."""
        config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        targets = self._targets()
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": targets[job["job_name"]]}]
            if job["job_name"] == "postgres":
                # Its exporter asks a server that is away several times before it says so.
                job |= {"scrape_interval": "5s", "scrape_timeout": "5s"}
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": targets["alertmanager"]}]}]}
        return config

    def _alertmanager(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
        config["global"]["smtp_smarthost"] = f"127.0.0.1:{self.mail.port}"
        for route in (config["route"], *config["route"]["routes"]):
            route |= {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "5s"}
        return config
