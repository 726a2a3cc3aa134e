"""The folder where a platform keeps its data, logs and secrets, and the note of what runs there.

The note names every process with its start time, so that `make down` from another terminal, or the next start after a
crash, ends exactly those processes and no other that has been given the same number since.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.platform.ports import SERVICES

ROOT = Path(__file__).parent.parent.parent
"""The checkout."""


def default_home() -> Path:
    """`FOOTLIGHTS_HOME`, or `.footlights` in the checkout."""
    return Path(os.environ.get("FOOTLIGHTS_HOME") or ROOT / ".footlights").absolute()


def jars_folder() -> Path:
    """Where Kafka's jars are kept, for all platforms of this checkout."""
    shared = ROOT / ".footlights"
    usable = os.access(shared if shared.exists() else ROOT, os.W_OK) or (shared / "kafka-jars").exists()
    return (shared if usable else default_home()) / "kafka-jars"


class AlreadyRunning(RuntimeError):
    """Another platform runs in this folder."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"a platform runs in this folder already (pid {pid})")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the note."""

    name: str
    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


class Home:
    """One platform's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.mail = self.path / "mail"
        self.note = self.path / "running.json"
        self._lock: TextIOWrapper | None = None

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def acquire(self) -> None:
        """Claim the folder, or `AlreadyRunning`. Ends what a crashed owner left behind."""
        self.logs.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            owner = self.owner()
            raise AlreadyRunning(owner.pid if owner else None) from None
        self._lock = lock
        end(self.children(), grace=3.0)
        self.note.unlink(missing_ok=True)

    @property
    def claimed(self) -> bool:
        """Whether this process runs the platform of the folder."""
        return self._lock is not None

    def release(self) -> None:
        """Give the folder up. Without having claimed it nothing happens: the note is another's."""
        if self._lock is not None:
            self.note.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def write_note(self, children: dict[str, int], about: dict[str, object]) -> None:
        """Write down the living processes. `about` is what `footlights status` wants to know."""
        entries = []
        for name, pid in children.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                entries.append({"name": name, "pid": pid, "started": psutil.Process(pid).create_time()})
        me = psutil.Process()
        note = {
            "supervisor": {"name": "supervisor", "pid": me.pid, "started": me.create_time()},
            "children": entries,
            **about,
        }
        fresh = self.note.with_suffix(".new")
        fresh.touch(mode=0o600)  # it has the databases' passwords
        fresh.write_text(json.dumps(note, indent=1))
        fresh.replace(self.note)

    def read_note(self) -> dict[str, object]:
        """What was written down, empty when nothing runs."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.note.read_text())
            return found if isinstance(found, dict) else {}
        return {}

    def owner(self) -> Running | None:
        """The supervisor that runs this folder."""
        entry = self.read_note().get("supervisor")
        found = Running(**entry) if isinstance(entry, dict) else None
        return found if found and found.process() else None

    def children(self) -> list[Running]:
        entries = self.read_note().get("children")
        return [Running(**entry) for entry in entries] if isinstance(entries, list) else []

    def secrets(self) -> dict[str, str]:
        """Keys and secrets of this platform, made once and readable by its owner alone."""
        file = self.path / "secrets.env"
        known = _read(file)
        missing = {name: value for name, value in _fresh_secrets().items() if name not in known}
        if missing:
            known |= missing
            file.touch(mode=0o600)
            file.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in sorted(known.items())))
        return known


def end(processes: list[Running], grace: float) -> int:
    """End processes of a note with everything they started: asked first, then killed. Returns how many lived."""
    found = [process for entry in processes if (process := entry.process())]
    family = {child for process in found for child in _descendants(process)} | set(found)
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(list(family), timeout=grace)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=2)
    return len(found)


def down(home: Home, grace: float = 9.0) -> bool:
    """Stop the platform of a folder from outside; False when none ran. Returns within about 10 s."""
    owner, children = home.owner(), home.children()
    stopped = False
    if owner is not None and (process := owner.process()):
        stopped = True
        process.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(grace)
    left = end(children, grace=0.5 if owner else 4.0)
    if owner is not None:
        end([owner], grace=0.2)
    deadline = time.monotonic() + 1
    while home.owner() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    home.note.unlink(missing_ok=True)
    return stopped or left > 0


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return list(process.children(recursive=True))
    return []


def _fresh_secrets() -> dict[str, str]:
    made = {f"{service.upper()}_LINK_SECRET": secrets.token_urlsafe(32) for service in SERVICES}
    made["LETTER_SECRET"] = secrets.token_urlsafe(32)
    made["ERASURE_KEY"] = secrets.token_urlsafe(32)
    made["TOKEN_SIGNING_KEY"] = _signing_key()
    made["QUOTE_SIGNING_KEY"] = _signing_key()
    made["TICKET_SIGNING_KEY"] = _signing_key()
    made["SANDBOX_API_KEY"] = f"sandbox_{secrets.token_urlsafe(24)}"
    made["SANDBOX_WEBHOOK_SECRET"] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    made["DATABASE_PASSWORD"] = secrets.token_urlsafe(24)
    made["DEMO_PASSWORD"] = f"demo-{secrets.token_hex(4)}"
    return made


def _signing_key() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


def _escaped(value: str) -> str:
    return value.replace("\n", "\\n")


def _read(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    lines = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name: value.replace("\\n", "\n") for name, _, value in lines}
