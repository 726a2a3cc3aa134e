"""Which seats of a plan stand side by side. Pure."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import orjson

AISLE = 1.8
"""Seats that stand so many times as far apart as is usual in their row have an aisle between them."""

Block = list[int]
"""Seats side by side, from one end to the other, each by its place in the plan's order."""


def blocks(document: bytes | str) -> list[Block]:
    """The blocks of a checked plan, in the plan's order of rows."""
    found: list[Block] = []
    first = 0
    for zone in orjson.loads(document)["zones"]:
        for row in zone["rows"]:
            found += _of_row(row["seats"], first)
            first += len(row["seats"])
    return found


def _of_row(seats: list[dict[str, Any]], first: int) -> list[Block]:
    at = [(float(seat["position"]["x"]), float(seat["position"]["y"])) for seat in seats]
    if not at:
        return []
    wide = max(x for x, _ in at) - min(x for x, _ in at) >= max(y for _, y in at) - min(y for _, y in at)
    order = sorted(range(len(at)), key=lambda n: at[n] if wide else at[n][::-1])
    steps = [abs(complex(*at[b]) - complex(*at[a])) for a, b in pairwise(order)]
    usual = statistics.median(steps) if steps else 0.0
    row: list[Block] = [[first + order[0]]]
    for step, seat in zip(steps, order[1:], strict=True):
        if step > AISLE * usual > 0:
            row.append([])
        row[-1].append(first + seat)
    return row
