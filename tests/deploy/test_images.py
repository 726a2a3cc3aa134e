"""What the Dockerfile puts into an image is enough to run it, and no more; checked without Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.platform.ports import SERVICES
from tests.deploy.compose import PARTS
from tests.harness import ROOT, Kafka

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
LOCK = ROOT / "deploy" / "docker" / "requirements.txt"
CLI_LOCK = LOCK.with_stem("requirements-cli")
STAGES = {
    match["name"]: match["body"]
    for match in re.finditer(
        r"^FROM \S+ AS (?P<name>\w+)\n(?P<body>.*?)(?=^FROM |\Z)", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL
    )
}


def unpack(stage: str, folder: Path, service: str = "") -> Path:
    """The application folder of an image, made by its COPY lines as a builder would."""
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", STAGES[stage], re.MULTILINE):
        source, target = (part.replace("${SERVICE}", service) for part in (source, target))
        to = folder / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to = to / Path(source).name if target.endswith("/") else to
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, to)
    return folder


def run(folder: Path, code: str, lock: Path = LOCK, **environment: str) -> str:
    """The last line said by Python in the image's folder, with the libraries of our own environment."""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(sorted(locked(lock)))],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def locked(path: Path) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


ONLY_LOCKED = """
import importlib.abc, importlib.metadata, json, re, sys
locked = set(json.loads(sys.argv[1]))
owners = importlib.metadata.packages_distributions()
absent = {m for m, ds in owners.items() if not {re.sub("[-_.]+", "-", d).lower() for d in ds} & locked}
class NotInTheImage(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
sys.meta_path.insert(0, NotInTheImage())
"""
"""Hides every library of our environment that the lock of the images does not name."""
OURS = """
print(json.dumps(sorted(n for n in sys.modules if n.startswith(("services.", "deploy", "tests")))))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_service_and_no_other(service: str, tmp_path: Path) -> None:
    folder = unpack("service", tmp_path, service)
    assert sorted(path.name for path in folder.iterdir()) == ["chassis", "contracts", "services"]
    assert [path.name for path in (folder / "services").iterdir() if path.is_dir()] == [service]
    code = f"{ONLY_LOCKED}import services.{service}.main, chassis.run, chassis.migrations{OURS}"
    assert all(name.split(".")[1] == service for name in json.loads(run(folder, code)))


def test_the_sandbox_holds_nothing_of_ours(tmp_path: Path) -> None:
    folder = unpack("sandbox", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["deploy"]
    ours = json.loads(run(folder, f"{ONLY_LOCKED}import deploy.sandbox.app{OURS}"))
    assert all(name == "deploy" or name.startswith("deploy.sandbox") for name in ours)


@pytest.mark.parametrize("arguments", ["topics apply", "reporting rebuild --help", "accounts --help", "status"])
def test_the_image_of_the_command_line_is_enough(tmp_path: Path, kafka: Kafka, arguments: str) -> None:
    """With what it holds and no other library. A Kafka with the topics of `make up` needs nothing."""
    folder = unpack("cli", tmp_path)
    assert re.findall(r"^ENTRYPOINT (.*)$", STAGES["cli"], re.MULTILINE) == ['["python", "-m", "deploy.cli"]']
    code = f"{ONLY_LOCKED}import deploy.cli\nsys.argv = ['footlights', *{arguments.split()}]\ndeploy.cli.main()"
    home = str(tmp_path / "home")
    said = run(folder, code, CLI_LOCK, KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers, FOOTLIGHTS_HOME=home)
    assert arguments != "topics apply" or said == "All topics are as they should be."


def test_the_image_of_the_command_line_can_rebuild_reports(tmp_path: Path) -> None:
    run(unpack("cli", tmp_path), f"{ONLY_LOCKED}import services.reporting.rebuild\nprint(1)", CLI_LOCK)


def test_images_have_the_versions_that_are_tested() -> None:
    tested, shipped = locked(ROOT / "requirements.lock"), locked(LOCK) | locked(CLI_LOCK)
    assert locked(LOCK).items() <= locked(CLI_LOCK).items()
    differing = {name: (version, tested.get(name)) for name, version in shipped.items() if tested.get(name) != version}
    assert not differing, "make the lock of the images anew, see deploy/docker/README.md"


@pytest.mark.parametrize(("lock", "stage"), [(LOCK, "dependencies"), (CLI_LOCK, "cli_dependencies")])
def test_every_file_is_checked_by_its_hash(lock: Path, stage: str) -> None:
    text = lock.read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "--require-hashes" in STAGES[stage]
    assert "://" not in text


def test_no_image_runs_as_root() -> None:
    for stage in ("service", "sandbox", "cli"):
        users = re.findall(r"^USER (\S+)$", STAGES[stage], re.MULTILINE)
        assert users == ["10001:10001"], stage
        assert STAGES[stage].index("USER") < STAGES[stage].index("CMD")


def test_the_builder_gets_what_it_copies() -> None:
    allowed = {
        line[1:]
        for line in (DOCKERFILE.with_name("Dockerfile.dockerignore")).read_text().splitlines()
        if line.startswith("!")
    }
    for stage in STAGES.values():
        for source in re.findall(r"^COPY (?!--from)(\S+) \S+$", stage, re.MULTILINE):
            assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source


def test_compose_builds_stages_that_exist() -> None:
    for name, part in PARTS.items():
        if "build" in part:
            build = part["build"]
            assert (ROOT / build["dockerfile"]).samefile(DOCKERFILE)
            assert build["target"] in STAGES
            if build["target"] == "service":
                assert build["args"]["SERVICE"] == name.removeprefix("migrate-")
