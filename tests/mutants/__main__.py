"""`make mutants`: of the modules that differ from main, of PATHS, or a SAMPLE of the core drawn by SEED."""

from __future__ import annotations

import random
import subprocess
import time
from itertools import islice
from typing import Annotated

import typer

from tests.harness import ROOT
from tests.mutants.bench import Bench, bench
from tests.mutants.mutants import Mutant, core, modules_in, mutants_at, places_in, tests_near

Paths = Annotated[list[str] | None, typer.Argument(help="Files or folders; by default what differs from main.")]
Sample = Annotated[int, typer.Option(help="Try so many of the paths or the core, drawn at random; 0 tries all.")]
Seed = Annotated[int, typer.Option(help="What the sample is drawn by.")]
Minutes = Annotated[float, typer.Option(help="Begin no other mutant after so long.")]

NEVER_ENDS = 4, 60.0
"""A mutant with which the tests take so many times as long as without, and so many seconds more, is noticed."""


def main(paths: Paths = None, sample: Sample = 0, seed: Seed = 1, minutes: Minutes = 600) -> None:
    """Makes one mistake at a time in a copy of the tree, and runs the tests near it. Fails if one is not noticed."""
    modules = modules_in(paths or (core() if sample else changed()))
    places = places_in(modules)
    if sample:
        random.Random(seed).shuffle(places)
    mutants = list(islice(mutants_at(places), sample or None))
    print(f"{len(mutants)} mutants of {len(modules)} modules", flush=True)
    if not mutants:
        return
    with bench() as place:
        tried, survivors = try_all(place, mutants, minutes)
    print(f"\n{tried - len(survivors)} of {tried} noticed ({1 - len(survivors) / max(tried, 1):.0%})")
    for survivor in survivors:
        print(f"survived: {survivor}")
    raise typer.Exit(bool(survivors))


def changed() -> list[str]:
    """The modules that differ from where this branch left main."""
    command = ["git", "diff", "--name-only", "--merge-base", "main", "--", "*.py"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def seconds_of(place: Bench, module: str) -> float:
    """How long the tests near a module take. Those that fail without a mistake notice nothing."""
    began = time.monotonic()
    failed = place.notices(module, None, tests_near(module), most_seconds=3600)
    if failed:
        raise typer.BadParameter(f"{failed} fails without any mutant; see {place.log}")
    return time.monotonic() - began


def try_all(place: Bench, mutants: list[Mutant], minutes: float) -> tuple[int, list[Mutant]]:
    """How many were tried, and those that nothing noticed."""
    survivors: list[Mutant] = []
    usual: dict[tuple[str, ...], float] = {}
    started = time.monotonic()
    for number, mutant in enumerate(mutants, 1):
        if time.monotonic() - started > minutes * 60:
            return number - 1, survivors
        tests = tests_near(mutant.module)
        if tests not in usual:
            usual[tests] = seconds_of(place, mutant.module)
        began = time.monotonic()
        times, more = NEVER_ENDS
        noticed = place.notices(mutant.module, mutant.code, tests, most_seconds=usual[tests] * times + more)
        survivors += [] if noticed else [mutant]
        print(f"{number} {time.monotonic() - began:.0f} s {noticed or 'SURVIVED'}: {mutant}", flush=True)
    return len(mutants), survivors


if __name__ == "__main__":
    typer.run(main)
