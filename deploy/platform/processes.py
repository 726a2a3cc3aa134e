"""Child processes of the platform: each in its own session, with a log file, and stopped with everything it started.

A child dies with us even when we are killed, where `setpriv` of util-linux is at hand (every usual Linux).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import psutil

LARGEST_LOG = 20_000_000
"""Bytes of a log that is continued at the next start; a larger one is put aside."""

LISTENING_PORTS = (10_000, 32_000)


class StartFailed(RuntimeError):
    """A part of the platform did not start. `remedy` says what the person at the keyboard can do."""

    def __init__(self, part: str, why: str, *, log: Path | None = None, remedy: str = "") -> None:
        super().__init__(f"{part}: {why}")
        self.part = part
        self.why = why
        self.log = log
        self.remedy = remedy


def first_cause(error: BaseException) -> BaseException:
    """The one error inside a group that a person should see."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, StartFailed)), error.exceptions[0])
    return error


class Child:
    """One child process. `stop_signal` is its polite way to end; whatever is left after the grace is killed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        prefix: Sequence[str] | None = None,
    ) -> None:
        self.name = name
        self.command = [*(dies_with_us() if prefix is None else prefix), *command]
        self.log = log
        self.env = env
        self.cwd = cwd
        self.stop_signal = stop_signal
        self.process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def spawn(self) -> None:
        """Start the process. To be called from the main thread: the child is told when the calling thread ends."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as out:
            self._log_start = out.tell()
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.env) if self.env is not None else None,
                cwd=self.cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    def wait(self) -> int | None:
        """Return its exit code when it has ended."""
        return self.process.wait() if self.process else None

    def signal(self, number: int) -> None:
        if self.process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def stop(self, grace: float = 6.0) -> None:
        """Ask it to end, wait up to `grace` seconds, then kill it and its descendants. Returns when all are gone."""
        family = self._family()
        self.signal(self.stop_signal)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self._end(family)

    def kill(self) -> None:
        """SIGKILL, as a crash would be; waits until the process and its descendants are gone."""
        family = self._family()
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self._end(family, grace=2.0)

    def _family(self) -> list[psutil.Process]:
        if self.process is None or not self.running:
            return []
        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def _end(self, family: Iterable[psutil.Process], grace: float = 0.5) -> None:
        _, alive = psutil.wait_procs(list(family), timeout=grace)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=2)
        if self.process is not None and self.running:
            self.process.kill()
            self.process.wait()

    def said(self, words: str) -> bool:
        """Whether the log of this start has these words."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return words.encode() in log.read()


_helpers: set[subprocess.Popen[str]] = set()


def run_helper(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short program to its end, such as initdb; `end_helpers` in another thread cuts it short."""
    with subprocess.Popen(
        [*dies_with_us(), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(env) if env is not None else None,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        _helpers.add(process)
        try:
            out, err = process.communicate()
        finally:
            _helpers.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def end_helpers() -> None:
    """Kill what `run_helper` is waiting for: somebody wants to stop while Maven still downloads."""
    for process in list(_helpers):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a text file, empty when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


@cache
def dies_with_us() -> tuple[str, ...]:
    """The command prefix that makes the kernel end a child together with us."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    prefix = (setpriv, "--pdeathsig", "KILL")
    works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if works else ()


def free_ports(count: int) -> list[int]:
    """Several different free ports, below those that the system gives to outgoing connections: such a one might be
    taken between being found free and being listened on."""
    found: list[int] = []
    for port in random.sample(range(*LISTENING_PORTS), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"there are no {count} free ports from {LISTENING_PORTS[0]} to {LISTENING_PORTS[1]}")


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def wait_until_answers(child: Child, port: int, timeout: float, remedy: str = "") -> None:
    """Return when the child listens; `StartFailed` when it ends before that or the time is over."""
    deadline = time.monotonic() + timeout
    while not answers(port):
        if not child.running:
            raise StartFailed(child.name, f"ended with code {child.exit_code}", log=child.log, remedy=remedy)
        if time.monotonic() > deadline:
            raise StartFailed(child.name, f"does not answer after {timeout:.0f} s", log=child.log, remedy=remedy)
        time.sleep(0.02)


def port_owner(port: int) -> str | None:
    """Who listens on the port, as "name (pid 123)"; None when the system does not tell."""
    try:
        listeners = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        return None
    for connection in listeners:
        if connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.NoSuchProcess):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def base_environment() -> dict[str, str]:
    """What a child inherits: our environment without what each service is given by itself."""
    return {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}


_KEPT_BACK = frozenset(
    {
        "HOST",
        "PORT",
        "DATABASE_URL",
        "DATABASE_API_URL",
        "DATABASE_WORKER_URL",
        "AUTH_JWKS",
        "AUTH_JWKS_URL",
        "PUBLIC_URL",
        "LINK_SECRET",
        "PYTHONDONTWRITEBYTECODE",  # six processes would compile the same modules at every start
    }
)
