"""`make bench`, or `python -m tests.bench relay consumer` for some of it.

Only a whole run is written to build/bench.json: its figures belong together.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop

from chassis import logging
from deploy.platform import topics
from tests.bench import mechanism
from tests.bench.figures import Figure, report
from tests.bench.million import QUESTIONS as MILLION
from tests.bench.million import million
from tests.bench.sales import SALES, sales
from tests.chassis import probe
from tests.harness import kafka_cluster, postgres_server

MECHANISM = {"relay": mechanism.relay, "consumer": mechanism.consumer, "latency": mechanism.latency}
OUTPUT = Path("build/bench.json")


async def run(names: list[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name, benchmark in MECHANISM.items():
        if not names or name in names:
            with tempfile.TemporaryDirectory(prefix="footlights-bench-") as folder:
                Path(folder).chmod(0o755)
                with postgres_server(Path(folder)) as postgres, kafka_cluster(Path(folder)) as kafka:
                    await topics.apply(kafka.bootstrap_servers)
                    figures += await benchmark(postgres, kafka)
    wanted = [name for name in names if name in SALES]
    if wanted or not names:
        figures += await sales(wanted)
    wanted = [name for name in names if name in MILLION]
    if wanted or not names:
        figures += await million(wanted)
    return figures


def main() -> None:
    logging.configure(probe.Settings(log_level="WARNING", log_format="console"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(run(sys.argv[1:]))
    report(figures, None if sys.argv[1:] else OUTPUT)


if __name__ == "__main__":
    main()
