"""`make demo`, as a person types it: on a platform of its own, and on one that runs already."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts.accounts import Role
from services.gateway import accounts
from tests.flows.house import House
from tests.flows.people import PASSWORD
from tests.harness import ROOT
from tests.ticketing.plans import plan


async def demo(*options: str) -> tuple[int | None, str]:
    """Its exit code, and what it prints, each paragraph on a line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.demo", *options),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode, output.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_theatre_is_sold_and_a_partner_can_read_every_event_of_it() -> None:
    code, said = await demo()

    assert code == 0, said
    assert re.search(r"All \d+ figures agree, to the cent and the seat", said), said
    assert "824 seats in 5 categories" in said
    read = re.search(r"A partner reads (\d+) events of (\d+) types; 0 misfits", said)
    assert read is not None, said
    events, types = map(int, read.groups())
    assert events > 500
    assert types >= 20


async def test_a_plan_with_seats_twice_is_refused_by_their_names(house: House, tmp_path: Path) -> None:
    seating: dict[str, Any] = plan(2, 4)
    row = seating["zones"][0]["rows"][1]["seats"]
    row[0]["seat_guid"] = "1-1"
    row[3]["seat_guid"] = "1-2"
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(seating))

    code, said = await demo("--plan", str(file), *await organizer_of(house))

    assert code == 2, said
    assert "The plan is refused" in said
    assert "'1-1' (2 times)" in said
    assert "'1-2' (2 times)" in said
    assert "Traceback" not in said


async def organizer_of(house: House) -> list[str]:
    """Options for the platform that runs already, and a new account of an organizer there."""
    email = f"{uuid4().hex[:8]}@{house.domain}"
    async with house.platform.apps["gateway"].state.db.as_worker() as session:
        memberships = {house.organisation: [Role.ORGANIZER]}
        await accounts.create_account(
            session, email=email, name="Oksana", password=PASSWORD, memberships=memberships, verified=True
        )
    return ["--platform", house.platform.url, "--email", email, "--password", PASSWORD]
