"""What a benchmark prints and writes."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is what counts: ours over the limit, medians over interleaved rounds. `cpu_ms` is ours per piece of work.

    `goal` is at least (`>=`) or at most (`<=`) a ratio; without one the figure is for information.
    """

    name: str
    value: float
    unit: str
    limit: float
    ratio: float
    cpu_ms: float
    goal: str = ""

    @property
    def met(self) -> bool:
        relation, _, bound = self.goal.partition(" ")
        return not self.goal or (self.ratio >= float(bound) if relation == ">=" else self.ratio <= float(bound))


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: how many pieces of work a second, and the processor time of each in milliseconds."""

    rate: float
    cpu_ms: float


async def measure(work: Callable[[], Awaitable[int]]) -> Measured:
    """Runs `work`, which returns how much it did."""
    cpu, started = time.process_time(), time.perf_counter()
    done = await work()
    elapsed, used = time.perf_counter() - started, time.process_time() - cpu
    return Measured(done / elapsed, used * 1000 / done)


def compare(
    name: str, unit: str, ours: Sequence[Measured], limits: Sequence[Measured], goal: str = "", inverse: bool = False
) -> Figure:
    """The figure of interleaved rounds. `inverse` for times, where ours over the limit means slower."""
    ratios = [mine.rate / raw.rate for mine, raw in zip(ours, limits, strict=True)]
    value, limit = statistics.median(m.rate for m in ours), statistics.median(m.rate for m in limits)
    return Figure(
        name=name,
        value=round(1000 / value if inverse else value, 2),
        unit=unit,
        limit=round(1000 / limit if inverse else limit, 2),
        ratio=round(statistics.median(1 / ratio if inverse else ratio for ratio in ratios), 3),
        cpu_ms=round(statistics.median(m.cpu_ms for m in ours), 4),
        goal=goal,
    )


def report(figures: Sequence[Figure], path: Path | None) -> None:
    """Prints the figures, and writes them if there is a path."""
    table = Table("name", "value", "unit", "limit", "ratio", "goal", "CPU ms", title=f"{os.cpu_count()} processors")
    for figure in figures:
        colour = "" if not figure.goal else "[green]" if figure.met else "[red]"
        table.add_row(
            figure.name,
            f"{figure.value:,.2f}",
            figure.unit,
            f"{figure.limit:,.2f}",
            f"{colour}{figure.ratio}",
            figure.goal,
            f"{figure.cpu_ms}",
        )
    console = Console(width=110)
    console.print(table)
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        console.print(f"Below the goal: {', '.join(missed)}")
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{k: v for k, v in asdict(figure).items() if k != "goal"} for figure in figures]
    path.write_text(json.dumps(rows, indent=1) + "\n")
