"""Where mutants are tried: a copy of the tree, servers that outlive them, and processes that know the libraries."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.platform import topics
from tests.harness import ROOT, Kafka, Postgres, kafka_cluster, postgres_server
from tests.mutants import child

LINKS = (".venv", ".footlights")


class Bench:
    """Runs tests on one changed module at a time."""

    def __init__(self, tree: Path, postgres: Postgres, kafka: Kafka) -> None:
        self._tree = tree
        self._postgres = postgres
        self._kafka = kafka
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload([*child.LIBRARIES])
        self.log = tree.parent / "last.log"

    def notices(self, module: str, code: str | None, tests: Sequence[str], most_seconds: float) -> str | None:
        """The first test that fails with this code in the module (None: its own), or why none ran; None if all pass."""
        file = self._tree / module
        original = file.read_bytes()
        if code is not None:
            file.write_text(code)
        try:
            ended = self._run(tests, most_seconds)
        finally:
            file.write_bytes(original)
            asyncio.run(self._tidy())
        if ended == pytest.ExitCode.OK:
            return None
        if ended == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise RuntimeError(f"no tests were run; see {self.log}")
        failed = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("FAILED ")]
        first = failed[0].removeprefix("FAILED ").split(" - ")[0] if failed else ""
        return first or ("it takes too long" if ended is None else "nothing starts with it")

    def _run(self, tests: Sequence[str], most_seconds: float) -> int | None:
        """The exit code of pytest, None after too long a time."""
        process = self._processes.Process(target=child.run, args=(str(self._tree), str(self.log), list(tests)))
        process.start()
        process.join(most_seconds)
        if process.is_alive():
            assert process.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return None
        return process.exitcode

    async def _tidy(self) -> None:
        """Forgets the databases and the records that a run left behind: the next one would read them all."""
        connection = await asyncpg.connect(self._postgres.url())
        names = "SELECT datname FROM pg_database WHERE datname LIKE 'footlights\\_%'"
        for row in await connection.fetch(names):
            await connection.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}" WITH (FORCE)')
        await connection.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.bootstrap_servers)
        await admin.start()
        try:
            described = await admin.describe_topics()
            everything = {
                TopicPartition(topic["topic"], partition["partition"]): RecordsToDelete(before_offset=-1)
                for topic in described
                if not topic["is_internal"]
                for partition in topic["partitions"]
            }
            await admin.delete_records(everything)
        finally:
            await admin.close()


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A bench in `build/mutants`; its servers end with it."""
    tree = ROOT / "build" / "mutants" / "tree"
    _copy_tree(tree)
    folder = Path(tempfile.mkdtemp(prefix="footlights-mutants-"))
    folder.chmod(0o755)
    try:
        with postgres_server(folder, fsync="off") as postgres, kafka_cluster(folder, light=True) as kafka:
            os.environ["TEST_POSTGRES_URL"] = postgres.url().rpartition("/")[0]
            os.environ["TEST_KAFKA"] = kafka.bootstrap_servers
            asyncio.run(_topics(kafka))
            yield Bench(tree, postgres, kafka)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _topics(kafka: Kafka) -> None:
    await topics.apply(kafka.bootstrap_servers)


def _copy_tree(tree: Path) -> None:
    """What git does not ignore, with compiled files that go by content: two mutants may be made within a second."""
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, copy = ROOT / name, tree / name
        if source.is_file() and not source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for name in LINKS:
        (tree / name).symlink_to((ROOT / name).resolve())
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "."],
        cwd=tree,
        check=False,
        stdout=subprocess.DEVNULL,
    )
