"""`make faults SEEDS=20`: many seeds, one after another. Ends with 1 if any of them left a wrong figure."""

from __future__ import annotations

import asyncio
import random
import traceback
from typing import Annotated

import typer

from tests.faults.scenario import run


def main(
    seeds: int = 1,
    seed: Annotated[int | None, typer.Option(help="The first seed")] = None,
    brokers: Annotated[int, typer.Option(help="1, or 3 with replication")] = 1,
) -> None:
    """Kill every part while buyers buy, and count everything afterwards."""
    first = seed if seed is not None else random.SystemRandom().randrange(10**6)
    failed = []
    for number in range(first, first + seeds):
        try:
            wrong = asyncio.run(run(number, typer.echo, brokers)).wrong
        except Exception:
            wrong = [traceback.format_exc()]
        for line in wrong:
            typer.echo(f"  ✗ {line}")
        if wrong:
            failed.append(number)
    typer.echo(f"{seeds - len(failed)} passed, {len(failed)} failed {failed or ''}".strip())
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
