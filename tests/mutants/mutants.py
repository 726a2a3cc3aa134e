"""Which mutants there are of a module, and which tests are near it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tests.harness import ROOT
from tests.mutants.operators import operators

OPERATORS = operators()
QUIET = re.compile(r"\s*(await )?(log|metrics)\.|\s*raise TypeError|[A-Z_]+(: [^=]+)? = [(\-\d]|@|from |import ")
"""Lines whose mistakes are not looked for: logs, metrics, sizes that only tune, what no running code meets."""


@dataclass(frozen=True, slots=True)
class Mutant:
    module: str
    """Path from the root of the tree."""
    operator: str
    code: str
    """The whole module with the mistake."""
    line: int
    """Of the mistake, from one."""
    change: str
    """The lines that differ."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator}\n{self.change}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operator could go wrong."""

    module: str
    operator: str
    occurrence: int


def places_in(modules: Sequence[str]) -> list[Place]:
    return [
        Place(module, name, occurrence)
        for module in modules
        for tree in (get_ast((ROOT / module).read_text()),)
        for name, operator in OPERATORS.items()
        for occurrence in range(sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree)))
    ]


def mutants_at(places: Iterable[Place]) -> Iterator[Mutant]:
    """The mistakes at these places that make a difference to what runs, each once."""
    seen: set[tuple[str, str]] = set()
    for place in places:
        source = (ROOT / place.module).read_text()
        code = mutate_code(source, OPERATORS[place.operator], place.occurrence)
        if code is None or code == source or (place.module, code) in seen or not _compiles(code):
            continue
        seen.add((place.module, code))
        line, change = _difference(source, code)
        if not QUIET.match(source.splitlines()[line - 1]):
            yield Mutant(place.module, place.operator, code, line, change)


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _difference(source: str, code: str) -> tuple[int, str]:
    lines = list(difflib.unified_diff(source.splitlines(), code.splitlines(), n=0, lineterm=""))[2:]
    where = re.match(r"@@ -(\d+)", lines[0])
    return int(where[1]) if where else 1, "\n".join(f"    {line}" for line in lines if not line.startswith("@@"))


@cache
def _settings() -> dict[str, Any]:
    """`[tool.mutants]` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutants"]
    return found


def core() -> list[str]:
    """The paths whose mistakes cost most."""
    return list(_settings()["core"])


def tests_near(module: str) -> tuple[str, ...]:
    """The tests that should notice, those that are quick first: of the longest path that the module lies in."""
    near = _settings()["near"]
    paths = [path for path in near if module == path or module.startswith(f"{path}/")]
    return tuple(near[max(paths, key=len)]) if paths else ()


def modules_in(paths: Sequence[str]) -> list[str]:
    """The modules of files and folders that have tests near them."""
    found: set[str] = set()
    for path in paths:
        whole = ROOT / path
        files = whole.rglob("*.py") if whole.is_dir() else [whole]
        found |= {str(file.relative_to(ROOT)) for file in files if file.suffix == ".py" and file.exists()}
    return sorted(module for module in found if "/migrations/" not in module and tests_near(module))
