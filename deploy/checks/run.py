"""`make check`: every check of the repository, side by side, and the words of those that fail.

python -m deploy.checks.run              all
python -m deploy.checks.run types lint   some
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent

MOST = 60
"""Lines shown of a failing check."""

CHECKS: dict[str, list[str]] = {
    # The longest first: the others fill the remaining time.
    "types": [sys.executable, "-m", "mypy"],
    "migrations": [sys.executable, "-m", "deploy.checks.migrations"],
    "boundaries": [str(SCRIPTS / "lint-imports"), "--no-logo", "--cache-dir", "build/import-linter"],
    "dependencies": [str(SCRIPTS / "deptry"), "--no-ansi", "."],
    "contracts": [sys.executable, "-m", "deploy.checks.contracts", "check"],
    "requirements": [sys.executable, "-m", "deploy.checks.requirements", "check"],
    "lint": [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "."],
    "format": [sys.executable, "-m", "ruff", "format", "--check", "--output-format", "concise", "."],
    "containers": [sys.executable, "-m", "deploy.checks.containers"],
    "tidiness": [sys.executable, "-m", "deploy.checks.tidiness"],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    passed: bool
    seconds: float
    words: str


def run_one(name: str) -> Outcome:
    start = time.monotonic()
    done = subprocess.run(
        CHECKS[name],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(name, done.returncode == 0, time.monotonic() - start, done.stdout.strip())


def main(arguments: list[str]) -> int:
    unknown = set(arguments) - set(CHECKS)
    if unknown:
        print(f"no check called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}")
        return 2
    start = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        outcomes = list(pool.map(run_one, arguments or list(CHECKS)))
    for outcome in outcomes:
        if not outcome.passed:
            print(f"── {outcome.name} " + "─" * (90 - len(outcome.name)))
            lines = outcome.words.splitlines()
            print("\n".join(lines[:MOST]), end=f"\n... {len(lines) - MOST} more lines\n\n" if lines[MOST:] else "\n\n")
    for outcome in outcomes:
        print(f"{'ok  ' if outcome.passed else 'FAIL'}  {outcome.name:<14}{outcome.seconds:5.1f} s")
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed in {time.monotonic() - start:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
