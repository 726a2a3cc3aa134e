"""The list of requirements against the tests that show them.

    python -m deploy.checks.requirements check    fails if marks and docs/requirements.md disagree
    python -m deploy.checks.requirements update   writes the column *Shown* from the marks
    python -m deploy.checks.requirements report   how many items passing tests have shown, by area

The report is of the last complete run of the tests (deploy/checks/shown.py), and names what that run does not answer
for; when there was none, it runs the marked tests first.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.checks import shown

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "requirements.md"
TESTS = ROOT / "tests"
ROW = re.compile(r"^\| (?P<id>[A-Z]+-\d+) \| (?P<what>[^|]+) \| (?P<place>[^|]+) \| (?P<shown>yes|) ?\|$")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the list."""

    id: str
    area: str
    what: str
    place: str
    shown: bool

    @property
    def later(self) -> bool:
        return self.place.startswith("later")


def read_list(text: str) -> list[Item]:
    """The rows of docs/requirements.md. Raises `ValueError` for a row of another form or an id that comes twice."""
    items: dict[str, Item] = {}
    area = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            area = line.removeprefix("## ")
        if not re.match(r"\| [A-Z]+-\d+ ", line):
            continue
        row = ROW.match(line)
        if row is None:
            raise ValueError(f"docs/requirements.md:{number}: not | id | what | place | yes or nothing |")
        if row["id"] in items:
            raise ValueError(f"docs/requirements.md:{number}: {row['id']} is listed twice")
        place = row["place"].strip().strip("`")
        items[row["id"]] = Item(row["id"], area, row["what"].strip(), place, row["shown"] == "yes")
    return list(items.values())


def marks_in(source: str, file: str) -> Iterator[tuple[str, str]]:
    """Every id in a `shows(...)` mark of a test file, with where it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "shows":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, f"{file}:{node.lineno}"
                else:
                    yield ast.unparse(argument), f"{file}:{node.lineno}"


def marks() -> dict[str, str]:
    """Each marked id with the first place of its mark."""
    found: dict[str, str] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if "shows(" in (source := path.read_text()):
            for item, place in marks_in(source, str(path.relative_to(ROOT))):
                found.setdefault(item, place)
    return found


def disagreements(items: list[Item], marked: Mapping[str, str]) -> Iterator[str]:
    """What is wrong between the list and the marks, in words."""
    known = {item.id for item in items}
    for id_, place in marked.items():
        if id_ not in known:
            yield f"{place}: {id_} is not in docs/requirements.md"
    for item in items:
        if item.shown and item.id not in marked:
            yield f"{item.id} is listed as shown, but no test carries its mark"
        if item.id in marked and not item.shown:
            yield f"{marked[item.id]}: shows {item.id}, which the list does not say (run `update`)"
        if item.id in marked and item.later:
            yield f"{marked[item.id]}: shows {item.id}, but the list says `{item.place}`: say where it lives"
        if not item.later and not (ROOT / item.place).exists():
            yield f"{item.id} lives in {item.place}, which does not exist"


def updated(text: str, marked: Mapping[str, str]) -> str:
    """The list with the column *Shown* written from the marks."""

    def write(line: str) -> str:
        row = ROW.match(line)
        if row is None:
            return line
        return f"| {row['id']} | {row['what']} | {row['place']} | {'yes' if row['id'] in marked else ''} |"

    return "\n".join(map(write, text.splitlines())) + "\n"


def report(items: list[Item], record: shown.Record, marked: set[str]) -> Iterator[str]:
    """Lines of the report: one per area, what is marked and was not shown by the run, and the sum."""
    passed = record.passed & marked
    width = max(len(item.area) for item in items)
    for area in dict.fromkeys(item.area for item in items):
        own = [item.id for item in items if item.area == area]
        proven = [id_ for id_ in own if id_ in passed]
        yield f"{area:<{width}}  {len(proven):>3} of {len(own):>3}  {' '.join(proven)}".rstrip()
    yield f"\nOf the complete run of tests that ended at {record.ended_at}."
    order = [item.id for item in items if item.id in marked]
    if failed := [id_ for id_ in order if id_ in record.ran - passed]:
        yield f"Marked, but a test failed or was skipped: {' '.join(failed)}"
    if missing := [id_ for id_ in order if id_ not in record.ran]:
        yield f"Marked since, so not counted until all tests run again: {' '.join(missing)}"
    yield f"{len([item for item in items if item.id in passed])} of {len(items)} shown"


def main(arguments: list[str]) -> int:
    text = LIST.read_text()
    items, marked = read_list(text), marks()
    match arguments:
        case ["check"]:
            wrong = list(disagreements(items, marked))
            print("\n".join(wrong) or f"requirements: {len(items)} listed, {len(marked)} with a test")
            return 1 if wrong else 0
        case ["update"]:
            LIST.write_text(updated(text, marked))
            return 0
        case ["report"]:
            if shown.read() is None:
                print("No complete run is recorded yet: running the tests that show a requirement.\n", flush=True)
                subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "shows"], cwd=ROOT, check=False)
            record = shown.read()
            if record is None:
                print("The tests did not run to their end; see above.")
                return 1
            print("\n".join(report(items, record, set(marked))))
            return 0
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
