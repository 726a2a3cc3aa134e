"""Generated requests, valid and broken, for every operation of the merged document: no 500, nothing undocumented."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.stage import EVERY_ROLE, Stage
from tests.harness import ROOT, eventually

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
SEED = os.environ.get("SCHEMATHESIS_SEED", "20261122")
SECONDS = os.environ.get("SCHEMATHESIS_SECONDS", "60")
"""After which it stops wherever it is; an idle machine is through before that, and generates more until then."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
ENDLESS = "/live/shows/{show_id}"
"""A stream of events has no end to wait for."""


@pytest.fixture(scope="session")
async def owner(platform: Stage) -> str:
    """An API key with every role, of an organisation that has one of everything."""
    organisation = await platform.organisation("generated")
    return await platform.key("all@generated.example", organisation, *EVERY_ROLE)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_generated_requests_find_no_500_and_nothing_undocumented(
    platform: Stage, owner: str, own_folder: Path
) -> None:
    made = await platform.sell(owner)
    document = own_folder / "openapi.json"
    document.write_text(json.dumps(_with_examples(await eventually(lambda: _complete(platform), timeout=40), made)))
    # One worker: hypothesis parses, and Python up to 3.11.7 counts the depth of that over all threads (gh-106905).
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(document), "--url", platform.url),
        *("--header", f"Authorization: Bearer {owner}"),
        *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing"),
        *("--max-examples", str(EXAMPLES), "--seed", SEED, "--max-time", SECONDS),
        *("--exclude-path", ENDLESS, "--no-color", "--continue-on-failure", "--request-timeout", "20"),
        *("--suppress-health-check", "all", "--generation-database", "none"),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=own_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    report = output.decode()
    assert process.returncode == 0, report
    generated = re.search(r"(\d+) generated", report)
    assert generated is not None, report
    assert int(generated[1]) > 40, report


async def _complete(platform: Stage) -> dict[str, Any]:
    _, merged = await platform.ask("GET", "/openapi.json")
    assert "x-unavailable" not in merged, merged["x-unavailable"]
    return merged


def _with_examples(document: dict[str, Any], made: dict[str, str]) -> dict[str, Any]:
    """Ids of things that exist, so that requests get behind the first look-up."""
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in made:
                    parameter["example"] = made[parameter["name"]]
    return document
