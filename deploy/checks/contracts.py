"""The artefacts that are generated from the contracts and committed: schemas, examples, AsyncAPI, the table of topics.

python -m deploy.checks.contracts generate   writes them
python -m deploy.checks.contracts check      fails if generating would change a file or a released type is broken
python -m deploy.checks.contracts release    makes the current schemas the released ones, if they are compatible
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from contracts.envelope import EventData
from contracts.topics import TOPICS, Topic
from deploy.checks import compatibility
from deploy.checks.asyncapi import document
from deploy.checks.examples import example_event, unfilled
from deploy.checks.schemas import read_schema, write_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "contracts" / "schemas"
EXAMPLES = ROOT / "contracts" / "examples"
RELEASED = ROOT / "contracts" / "released"
ASYNCAPI = ROOT / "contracts" / "asyncapi.yaml"
CHANGELOG = ROOT / "contracts" / "CHANGELOG.md"
PARTNERS = ROOT / "docs" / "partners.md"
TABLE_START, TABLE_END = "<!-- topics: generated -->\n", "<!-- end of topics -->\n"


def event_types() -> list[type[EventData]]:
    return [EventData.known[name] for name in sorted(EventData.known)]


def artefacts() -> dict[Path, str]:
    """Every generated file with its text."""
    files: dict[Path, str] = {}
    for kind in event_types():
        files[SCHEMAS / f"{kind.event_type}.json"] = _json(read_schema(kind))
        files[EXAMPLES / f"{kind.event_type}.json"] = _json(record_of(kind))
    files[ASYNCAPI] = _yaml(document(event_types(), TOPICS, newest_release()))
    if PARTNERS.exists():
        files[PARTNERS] = with_table(PARTNERS.read_text())
    return files


def newest_release() -> str:
    """The version of the contracts: the first that the changelog names."""
    found = re.search(r"^## (\d+\.\d+\.\d+)$", CHANGELOG.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError("contracts/CHANGELOG.md names no release")
    return found[1]


def record_of(kind: type[EventData]) -> dict[str, Any]:
    """A record as a consumer gets it: topic, key, headers and value."""
    event = example_event(kind)
    missing = unfilled(event.data, kind, kind.__name__)
    if missing:
        raise LookupError(f"the example lacks {', '.join(missing)}: complete deploy/checks/examples.py")
    return {
        "topic": event.topic,
        "key": event.key.decode(),
        "headers": {name: value.decode() for name, value in event.headers()},
        "value": json.loads(event.data.to_json()),
    }


def with_table(text: str) -> str:
    """The partners' page with the table of topics brought up to date."""
    before, _, rest = text.partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    return before + TABLE_START + "".join(_rows()) + TABLE_END + after


def stale() -> Iterator[str]:
    """What generating would change, as differences."""
    files = artefacts()
    for path, text in files.items():
        current = path.read_text() if path.exists() else ""
        if current != text:
            name = str(path.relative_to(ROOT))
            yield from difflib.unified_diff(
                current.splitlines(), text.splitlines(), f"{name} (committed)", f"{name} (generated)", lineterm="", n=1
            )
    for folder in (SCHEMAS, EXAMPLES):
        for path in sorted(set(folder.glob("*")) - set(files)):
            yield f"{path.relative_to(ROOT)} belongs to no type"


def generate() -> None:
    files = artefacts()
    for folder in (SCHEMAS, EXAMPLES, RELEASED):
        folder.mkdir(exist_ok=True)
    for folder in (SCHEMAS, EXAMPLES):
        for path in set(folder.glob("*")) - set(files):
            path.unlink()
    for path, text in files.items():
        path.write_text(text)
    print(f"{len(files)} files of {len(EventData.known)} event types")


def breaks() -> list[str]:
    """How the current schemas break the promises of the released ones."""
    current = {kind.event_type: write_schema(kind) for kind in event_types()}
    released = {path.stem: json.loads(path.read_text()) for path in sorted(RELEASED.glob("*.json"))}
    return [f"{name}: {problem}" for name in released for problem in compatibility.problems(released, current, name)]


def check() -> int:
    differences = list(stale())
    broken = breaks()
    for line in differences[:80]:
        print(line)
    if differences:
        print("Generated files are out of date: python -m deploy.checks.contracts generate")
    for line in broken:
        print(line)
    if broken:
        print("A released type was changed in a way its readers or writers cannot bear: give it a new major version.")
    if differences or broken:
        return 1
    print(f"contracts: {len(EventData.known)} types, generated files are current, released types are kept")
    return 0


def release() -> int:
    broken = breaks()
    for line in broken:
        print(line)
    if broken:
        return 1
    RELEASED.mkdir(exist_ok=True)
    for kind in event_types():
        (RELEASED / f"{kind.event_type}.json").write_text(_json(write_schema(kind)))
    print(f"released {len(EventData.known)} types")
    return 0


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=120)


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Blocks.add_representer(str, _Blocks.represent_str)


def _rows() -> Iterator[str]:
    yield "| Topic | Written by | Partitions | Kept | Key | Types |\n|---|---|---|---|---|---|\n"
    for topic in TOPICS:
        types = [kind for kind in event_types() if kind.topic == topic.name]
        names = ", ".join(f"`{kind.event_type.removeprefix(topic.name + '.')}`" for kind in types)
        yield (
            f"| `{topic.name}` | {topic.producer} | {topic.partitions} | {_kept(topic)} "
            f"| `{key_field(types[0])}` | {names} |\n"
        )


def _kept(topic: Topic) -> str:
    return "for ever" if topic.retention is None else f"{topic.retention.days} days"


def key_field(kind: type[EventData]) -> str:
    """The field of the data that is the record's key."""
    data = example_event(kind).data
    return next(name for name in type(data).model_fields if getattr(data, name) == data.key())


def main(arguments: list[str]) -> int:
    match arguments:
        case ["generate"]:
            generate()
            return 0
        case ["check"]:
            return check()
        case ["release"]:
            return release()
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
