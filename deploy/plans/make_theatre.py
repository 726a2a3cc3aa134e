"""Draws the hall that ships with Footlights: `python -m deploy.plans.make_theatre > deploy/plans/theatre.json`.

Stalls and dress circle in arcs around the stage, a balcony behind, boxes on both sides. Distances are of the drawing.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

WIDTH, HEIGHT = 1000, 1010
STAGE = {"x": WIDTH / 2, "y": 90.0}
SEAT = 21.0

CATEGORIES = [
    {"name": "Stalls, front", "color": "#7b1fa2"},
    {"name": "Stalls", "color": "#3949ab"},
    {"name": "Dress circle", "color": "#00897b"},
    {"name": "Balcony", "color": "#f9a825"},
    {"name": "Boxes", "color": "#c62828"},
]

ARCS = [
    # zone, category by row number, rows, first row's radius, distance of rows, its seats, more per row
    ("Stalls", lambda row: "Stalls, front" if row <= 4 else "Stalls", 16, 220.0, 26.0, 18, 0.8),
    ("Dress circle", lambda row: "Dress circle", 6, 660.0, 26.0, 31, 0.6),
    ("Balcony", lambda row: "Balcony", 6, 836.0, 24.0, 33, 0.5),
]


def plan() -> dict[str, Any]:
    zones = [_arc(*arc) for arc in ARCS]
    zones += [_boxes("Boxes left", "L", x=64.0), _boxes("Boxes right", "R", x=WIDTH - 64.0 - SEAT)]
    return {
        "name": "Footlights Theatre, main hall",
        "categories": CATEGORIES,
        "zones": [{**zones[0], "areas": [_stage()]}, *zones[1:]],
        "size": {"width": WIDTH, "height": HEIGHT},
    }


def _arc(zone: str, category: Any, rows: int, radius: float, step: float, first: int, more: float) -> dict[str, Any]:
    return {
        "name": zone,
        "zone_id": _id(zone),
        "uuid": _uuid(zone),
        "position": {"x": 0, "y": 0},
        "areas": [],
        "rows": [
            _row(zone, row, list(_places(radius + (row - 1) * step, first + round((row - 1) * more))), category(row))
            for row in range(1, rows + 1)
        ],
    }


def _places(radius: float, seats: int) -> Iterator[tuple[float, float]]:
    angle = SEAT / radius
    for number in range(seats):
        turn = (number - (seats - 1) / 2) * angle
        yield STAGE["x"] + radius * math.sin(turn), STAGE["y"] + radius * math.cos(turn) - 60


def _boxes(zone: str, side: str, x: float) -> dict[str, Any]:
    boxes = []
    for number in range(1, 6):
        y = 200.0 + 76 * number
        places = [(x + dx, y + dy) for dy in (0.0, SEAT) for dx in (0.0, SEAT)]
        boxes.append({**_row(zone, f"{side}{number}", places, "Boxes"), "row_label": "box %s"})
    return {
        "name": zone,
        "zone_id": _id(zone),
        "uuid": _uuid(zone),
        "position": {"x": 0, "y": 0},
        "areas": [],
        "rows": boxes,
    }


def _row(zone: str, row: int | str, places: list[tuple[float, float]], category: str) -> dict[str, Any]:
    return {
        "row_number": str(row),
        "row_number_position": "both",
        "uuid": _uuid(f"{zone}/{row}"),
        "position": {"x": 0, "y": 0},
        "seats": [
            {
                "seat_guid": f"{_id(zone)}-{row}-{number}".lower(),
                "seat_number": str(number),
                "uuid": _uuid(f"{zone}/{row}/{number}"),
                "position": {"x": round(x, 1), "y": round(y, 1)},
                "category": category,
            }
            for number, (x, y) in enumerate(places, start=1)
        ],
    }


def _stage() -> dict[str, Any]:
    return {
        "shape": "rectangle",
        "color": "#e8e2d6",
        "border_color": "#8d7b5a",
        "rotation": 0,
        "position": {"x": WIDTH / 2 - 200, "y": 30.0},
        "uuid": _uuid("stage"),
        "rectangle": {"width": 400.0, "height": 130.0},
        "text": {"text": "Stage", "position": {"x": 200.0, "y": 65.0}, "color": "#5d5038", "size": 28},
    }


def _id(zone: str) -> str:
    return zone.lower().replace(" ", "-")


def _uuid(what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://footlights.example/plans/theatre/{what}"))


if __name__ == "__main__":
    json.dump(plan(), sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
