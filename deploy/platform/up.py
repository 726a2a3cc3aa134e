"""`make up`: start everything, load demo data, say what runs where, and stop on Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from deploy.platform.home import AlreadyRunning, default_home
from deploy.platform.kafka import brokers_in
from deploy.platform.parts import Existing
from deploy.platform.ports import BASE, Ports
from deploy.platform.processes import StartFailed, end_helpers, tail
from deploy.platform.summary import summary
from deploy.platform.supervisor import Platform

console = Console(highlight=False)


class Steps:
    """Shows what is being started, and a line for each part that has got there."""

    def __init__(self) -> None:
        self.status = console.status("Starting Footlights ...")
        self._since: dict[str, float] = {}

    def __call__(self, part: str, state: str) -> None:
        if state == "starting":
            self._since[part] = time.monotonic()
        elif state.startswith("ready"):
            now = time.monotonic()
            took = now - self._since.pop(part, now)
            note = escape(state.removeprefix("ready").lstrip(", "))
            console.print(f"  [green]✓[/] {part:<14} [dim]{took:4.1f} s[/] {note}")
        else:
            self._since.pop(part, None)
            console.print(f"  [red]![/] [bold]{part}[/] {escape(state)}")
        self.status.update(f"Starting {', '.join(self._since)} ..." if self._since else "Starting ...")


def explain(failure: StartFailed) -> None:
    """Name the part that failed, what its log says last, and what can be done."""
    words = [f"[bold]{escape(failure.part)}[/]: {escape(failure.why)}"]
    if failure.log is not None and (last := tail(failure.log, 12)):
        words += ["", f"[dim]{escape(last)}[/]", "", f"Log: {escape(str(failure.log))}"]
    if failure.remedy:
        words.append(f"Remedy: {escape(failure.remedy)}")
    console.print(Panel("\n".join(words), title="Footlights did not start", border_style="red"))


async def run(port: int, brokers: int, demo_data: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    steps = Steps()
    if (kept := brokers_in(default_home() / "kafka")) > brokers:
        console.print(f"The data are spread over {kept} brokers: starting {kept}.")
        brokers = kept
    platform = Platform(
        default_home(),
        Ports.counted_from(port, brokers),
        brokers=brokers,
        existing=Existing.from_environment(),
        restart_crashed=True,
        allow_mock=True,
        report=steps,
    )
    started = time.monotonic()
    try:
        with steps.status:
            if not await _unless(stopping, platform.open()):
                console.print("Stopped before everything was up.")
                return 130
            for warning in platform.warnings:
                console.print(Panel(escape(warning), title="Kafka is not real", border_style="yellow"))
            accounts = None
            if demo_data:
                accounts = await _unless(stopping, _load_demo_data(platform, steps))
        if not stopping.is_set():
            console.print(summary(platform, accounts or None))
            console.print(f"Up after {time.monotonic() - started:.0f} s. Ctrl-C (or `make down`) stops everything.")
            await stopping.wait()
        return 0
    finally:
        end_helpers()
        since = time.monotonic()
        ours = platform.home.claimed
        with console.status("Stopping ..."):
            await platform.close()
        if ours:
            console.print(f"Stopped after {time.monotonic() - since:.1f} s. The data stay in {platform.home.path}")


async def _load_demo_data(platform: Platform, steps: Steps) -> list[tuple[str, str, str]]:
    from deploy.demo_data import load

    steps("demo data", "starting")
    accounts = await load(platform.gateway, platform.environment("gateway"), platform.home.secrets())
    steps("demo data", "ready")
    return accounts


async def _unless(stopping: asyncio.Event, work):  # type: ignore[no-untyped-def]
    """The result of the work, or None when the person at the keyboard wants to stop first."""
    task = asyncio.ensure_future(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
        return None
    stop.cancel()
    return task.result() or True


def main() -> int:
    parser = argparse.ArgumentParser(description="Start Footlights on this machine.")
    parser.add_argument("--port", type=int, default=BASE, help="the gateway's port; all others are counted from it")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--no-demo-data", action="store_true")
    options = parser.parse_args()
    try:
        wanted = not options.no_demo_data and os.environ.get("DEMO_DATA") != "0"
        return asyncio.run(run(options.port, options.brokers, wanted))
    except AlreadyRunning as running:
        console.print(f"[red]Footlights runs already[/] (pid {running.pid}). `make down` stops it.")
    except StartFailed as failure:
        explain(failure)
    return 1


if __name__ == "__main__":
    sys.exit(main())
