"""The script of the README buys a ticket, as it stands there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.flows.house import House
from tests.harness import ROOT, eventually

HERE = "http://127.0.0.1:8000"
FIRST_SHOW = "/ticketing/shows?status=on_sale"


async def test_the_script_buys_a_ticket(house: House, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert HERE in text
    assert FIRST_SHOW in text
    # This platform, and of all the theatres on it the test's own.
    text = text.replace(HERE, house.platform.url).replace(FIRST_SHOW, f"{FIRST_SHOW}&organisation={house.organisation}")
    script = tmp_path / "buy.py"
    script.write_text(text)
    process = await asyncio.create_subprocess_exec(sys.executable, script, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    async with house.platform.http.get(printed.decode().strip()) as page:
        assert page.status == 200, "the card page"
    rows = await eventually(lambda: _orders(house))
    assert [(row["customer"]["name"], row["stage"]) for row in rows] == [("Ada Lovelace", "awaiting_payment")]


async def _orders(house: House) -> list[dict[str, Any]]:
    return (await house.desk.get("/api/orders/orders?all=true&customer=Ada"))["items"]
