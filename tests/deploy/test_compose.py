"""docker-compose.yml starts the same as `make up`: images, versions, topics, ports and settings are compared."""

from __future__ import annotations

import importlib
import re
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from chassis.settings import KafkaSettings
from deploy.commands.surroundings import Surroundings
from deploy.platform import parts
from deploy.platform.databases import KINDS, DatabaseUrls, development_password
from deploy.platform.home import Home
from deploy.platform.kafka import CLUSTER_ID, KafkaCluster
from deploy.platform.ports import SERVICES, Ports
from deploy.platform.postgres import BINARIES, PASSWORD, SETTINGS, SUPERUSER
from deploy.platform.processes import base_environment
from tests.deploy.compose import COMPOSE, PARTS, image, published
from tests.harness import ROOT

PORTS = Ports.counted_from()


def test_the_same_parts() -> None:
    mine = {*SERVICES, "sandbox", "mail", "postgres", "kafka"}
    jobs = {"topics", *(f"migrate-{service}" for service in SERVICES)}
    assert set(PARTS) == mine | jobs | {"prometheus", "alertmanager", "postgres-exporter", "grafana", "cli", "front"}


def test_kafka_has_the_version_of_the_jars() -> None:
    pom = (ROOT / "deploy" / "kafka" / "pom.xml").read_text()
    (version,) = re.findall(r"<kafka.version>([\d.]+)</kafka.version>", pom)
    assert f"FROM apache/kafka:{version} AS kafka\n" in (ROOT / "deploy" / "docker" / "Dockerfile").read_text()


def test_postgres_has_the_version_of_the_binaries() -> None:
    said = subprocess.run([BINARIES / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    assert image("postgres") == ("postgres", said.split()[-1])


def test_every_image_names_its_version() -> None:
    for name, part in PARTS.items():
        if "image" in part:
            assert re.fullmatch(r"v?\d+(\.\d+)+", image(name)[1]), f"{name}: {part['image']}"


def test_kafka_has_the_same_settings(tmp_path: Path) -> None:
    cluster = KafkaCluster(tmp_path, [9092], [9093], jars=tmp_path, log=tmp_path / "kafka.log")
    wanted = cluster.brokers[0].properties()
    here = {
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "controller.quorum.voters",
        "log.dirs",
    }
    environment = PARTS["kafka"]["environment"]
    for name, value in wanted.items():
        given = environment.get("KAFKA_" + name.upper().replace(".", "_"))
        assert given is not None, name
        if name not in here:
            assert given == value, name
    extra = set(environment) - {"KAFKA_" + name.upper().replace(".", "_") for name in wanted}
    assert extra == {"CLUSTER_ID", "KAFKA_HEAP_OPTS", "KAFKA_OPTS"}
    assert environment["CLUSTER_ID"] == CLUSTER_ID
    heap = [option for option in cluster.java_options() if option.startswith(("-Xmx", "-Xms"))]
    assert environment["KAFKA_HEAP_OPTS"].split() == heap


def test_kafka_is_found_at_the_addresses_it_gives_out() -> None:
    environment = PARTS["kafka"]["environment"]
    addresses = dict(entry.split("://") for entry in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert addresses == {"PLAINTEXT": "kafka:9092", "HOST": f"127.0.0.1:{PORTS.kafka[0]}"}
    assert published("kafka") == {PORTS.kafka[0]: PORTS.kafka[0]}


def test_postgres_has_the_same_settings() -> None:
    command = PARTS["postgres"]["command"]
    assert command[0] == "postgres"
    given = dict(option.split("=", 1) for option in command[1:] if option != "-c")
    addresses = {"listen_addresses", "unix_socket_directories"}
    assert given == {name: value for name, value in SETTINGS.items() if name not in addresses}
    environment = PARTS["postgres"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_PASSWORD"]) == (SUPERUSER, PASSWORD)
    source = (ROOT / "deploy" / "platform" / "postgres.py").read_text()
    for option in environment["POSTGRES_INITDB_ARGS"].split():
        assert f'"{option}"' in source, f"make up's initdb has no {option}"


def test_the_same_ports() -> None:
    assert published("front") == {8000: PORTS.services["gateway"]}
    assert published("gateway") == {8010: PORTS.sandbox}
    assert published("mail") == {8025: PORTS.mail_page, 1025: PORTS.smtp}
    assert published("postgres") == {5432: PORTS.postgres}
    for part in ("prometheus", "alertmanager", "grafana"):
        published(part)


def settings_of(service: str) -> Any:
    return importlib.import_module(f"services.{service}.settings").Settings


@pytest.mark.parametrize("service", SERVICES)
def test_the_same_settings(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that `make up` gives a service, and no variable that the service does not know."""
    url = f"postgresql://{service}@127.0.0.1/footlights_{service}"
    home = Home(tmp_path)
    tmp_path.mkdir(exist_ok=True)
    local = parts.environment(
        service, home=home, ports=PORTS, kafka="x", smtp="y", database=DatabaseUrls(url, url, url)
    )
    wanted = set(local) - set(base_environment()) - {"PYTHONUNBUFFERED"}
    given = PARTS[service]["environment"]
    optional = {"OTEL_EXPORTER_OTLP_ENDPOINT", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "DOCUMENTS_URL"}
    optional |= {"TRUSTED_PROXIES", "TRUSTED_NETWORK"}  # without proxy and network there is nobody to trust
    # Only migrations know the owner of the tables; `make up` is in a hurry to stop.
    assert set(given) - optional == wanted - {"DATABASE_URL", "STOP_GRACE_SECONDS"}
    grace = settings_of(service).model_fields["stop_grace_seconds"].default
    most = int(PARTS[service]["stop_grace_period"].removesuffix("s"))
    assert most == grace + 15
    assert f"`terminationGracePeriodSeconds: {most}`" in (ROOT / "docs" / "operations.md").read_text()
    assert set(PARTS[f"migrate-{service}"]["environment"]) == {"DATABASE_URL"}
    known = {name.upper() for name in settings_of(service).model_fields}
    assert set(given) <= known
    assert int(given["PORT"]) == PORTS.services[service]
    for name in {*known, *local}:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    settings = settings_of(service)()
    assert (settings.host, settings.port) == ("0.0.0.0", PORTS.services[service])


@pytest.mark.parametrize("service", SERVICES)
def test_the_same_databases(service: str) -> None:
    urls = {
        "owner": PARTS[f"migrate-{service}"]["environment"]["DATABASE_URL"],
        "api": PARTS[service]["environment"]["DATABASE_API_URL"],
        "worker": PARTS[service]["environment"]["DATABASE_WORKER_URL"],
    }
    for kind in KINDS:
        role = f"{service}_{kind}"
        assert urls[kind] == f"postgresql://{role}:{development_password(role)}@postgres:5432/footlights_{service}"


def test_the_command_line_knows_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    given = PARTS["cli"]["environment"]
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = Surroundings(Home(Path("/nowhere")), {})
    assert isinstance(found.kafka, KafkaSettings)
    assert found.kafka.kafka_bootstrap_servers == PARTS["orders"]["environment"]["KAFKA_BOOTSTRAP_SERVERS"]
    for service in SERVICES:
        assert found.database(service) == PARTS[service]["environment"]["DATABASE_WORKER_URL"]
        assert given[f"{service.upper()}_URL"] == f"http://{service}:{PORTS.services[service]}"
    assert found.database("reporting", "owner") == PARTS["migrate-reporting"]["environment"]["DATABASE_URL"]
    assert found.database("reporting", "api") == PARTS["reporting"]["environment"]["DATABASE_API_URL"]


def test_the_gateway_believes_the_proxy_before_it_and_nobody_else() -> None:
    front, gateway = PARTS["front"], PARTS["gateway"]["environment"]
    (given,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    address = ip_address(front["networks"]["default"]["ipv4_address"])
    assert gateway["TRUSTED_PROXIES"] == str(address)
    assert address in ip_network(given["subnet"])
    assert address not in ip_network(given["ip_range"]), "another container might get it"
    assert front["environment"] == {"BIND": ":8000", "GATEWAY": f"gateway:{gateway['PORT']}"}
    (configuration,) = front["volumes"]
    file, place, _ = configuration.split(":")
    assert (ROOT / file).is_file()
    assert place == "/usr/local/etc/haproxy/haproxy.cfg"


def listening() -> set[tuple[str, int]]:
    """Who listens where inside the network of the containers."""
    found = {(service, PORTS.services[service]) for service in SERVICES}
    found |= {("kafka", 9092), ("kafka", 9093), ("postgres", 5432), ("mail", 1025), ("prometheus", 9090)}
    found |= {("kafka", 9404), ("postgres-exporter", 9187), ("alertmanager", 9093)}
    assert PARTS["sandbox"]["network_mode"] == "service:gateway"
    return found | {("gateway", PORTS.sandbox)}


def addresses() -> list[tuple[str, str]]:
    found = []
    for name, part in PARTS.items():
        for value in part.get("environment", {}).values():
            found += [(name, match) for match in re.findall(r"\w+://[\w.:@-]+", str(value))]
    for entry in ("datasources/prometheus.yml",):
        source = yaml.safe_load((ROOT / "deploy" / "grafana" / "provisioning" / entry).read_text())
        found += [("grafana", one["url"]) for one in source["datasources"]]
    return found


def test_every_address_leads_somewhere() -> None:
    for part, address in addresses():
        where = urlsplit(address)
        if where.scheme in ("http", "smtp", "postgresql") and where.hostname != "127.0.0.1":
            assert (where.hostname, where.port) in listening(), f"{part}: {address}"


def test_what_a_part_waits_for_can_be_waited_for() -> None:
    for name, part in PARTS.items():
        for other, how in part.get("depends_on", {}).items():
            waited = PARTS[other]
            if how["condition"] == "service_healthy":
                in_image = "build" in waited and waited["build"]["target"] == "service"
                assert in_image or "healthcheck" in waited, f"{name} waits for {other}, which has no health check"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert waited["restart"].startswith("on-failure"), f"{other} would start again when it is done"


def test_prometheus_asks_every_service_and_what_they_stand_on_by_a_name_of_any_number_of_replicas() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    asked = {}
    for job in config["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        assert (name, found["port"]) in listening()
        asked[job["job_name"]] = (name, found["port"])
    assert {service: asked.pop(service) for service in SERVICES} == {
        service: (service, PORTS.services[service]) for service in SERVICES
    }
    assert set(asked) == {"kafka", "postgres", "alertmanager"}
    ((manager,),) = ([one["dns_sd_configs"][0] for one in config["alerting"]["alertmanagers"]],)
    assert (manager["names"], manager["port"]) == (["alertmanager"], 9093)
    for file in config["rule_files"]:
        assert (ROOT / "deploy" / "prometheus" / file).exists()


def test_what_is_mounted_exists() -> None:
    volumes = set(COMPOSE["volumes"])
    for name, part in PARTS.items():
        for mount in part.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name}: {mount}"
                assert mount.endswith(":ro"), f"{name} could change the checkout"
            else:
                assert source in volumes, f"{name}: {mount}"
                volumes.discard(source)
    assert not volumes, f"nobody uses {volumes}"


def test_no_container_of_ours_may_more_than_it_needs() -> None:
    for name in (*SERVICES, *(f"migrate-{service}" for service in SERVICES)):
        part = PARTS[name]
        assert part["read_only"], name
        assert part["cap_drop"] == ["ALL"], name
        assert part["security_opt"] == ["no-new-privileges:true"], name


SECRETS = ("LINK_SECRET", "ERASURE_KEY")


def test_production_is_reached_from_outside_and_takes_no_default_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert "FOOTLIGHTS_ENV: ${FOOTLIGHTS_ENV:-development}" in text
    for name in SERVICES:
        given = {**PARTS[name]["environment"], "FOOTLIGHTS_ENV": "production"} | dict.fromkeys(SECRETS, "s" * 32)
        for variable, value in given.items():
            monkeypatch.setenv(variable, str(value))
        settings = importlib.import_module(f"services.{name}.settings").Settings
        with pytest.raises(ValueError, match="in production"):
            settings()
