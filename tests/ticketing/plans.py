"""Seating plans made for tests."""

from __future__ import annotations

from typing import Any


def plan(rows: int = 2, seats: int = 10, *, zone: str = "Партер", category: str = "Партер") -> dict[str, Any]:
    """A hall of one zone: seats `1-1`, `1-2`, ... of one category."""
    return {
        "name": "Мала сцена",
        "categories": [{"name": category, "color": "#8c1c30"}],
        "zones": [
            {
                "name": zone,
                "position": {"x": 0, "y": 0},
                "rows": [
                    {
                        "row_number": str(row),
                        "position": {"x": 0, "y": row * 30},
                        "seats": [
                            {
                                "seat_guid": f"{row}-{seat}",
                                "seat_number": str(seat),
                                "category": category,
                                "position": {"x": seat * 25.5, "y": 0},
                            }
                            for seat in range(1, seats + 1)
                        ],
                    }
                    for row in range(1, rows + 1)
                ],
            }
        ],
        "size": {"width": 600, "height": 400},
    }


def two_categories() -> dict[str, Any]:
    """Twenty seats of the stalls and ten of a balcony, with what a real plan has besides."""
    stalls, balcony = plan(2, 10), plan(1, 10, zone="Balkon", category="Balkon Łoża")
    for row in balcony["zones"][0]["rows"]:
        row["row_label"] = "Rząd %s"
        row["seat_label"] = "Miejsce %s"
        for seat in row["seats"]:
            seat["seat_guid"] = f"b{seat['seat_guid']}"
            seat["start_direction"] = None
            seat["radius"] = 12
    stalls["categories"] += balcony["categories"]
    stalls["zones"] += balcony["zones"]
    stalls["zones"][0]["areas"] = [
        {
            "shape": "rectangle",
            "rectangle": {"width": 200.5, "height": 40},
            "position": {"x": 10, "y": 1},
            "rotation": 0,
        },
        {"shape": "text", "text": {"text": "Сцена", "position": {"x": 1, "y": 2}, "size": 20}, "color": "#000"},
        {"shape": "polygon", "polygon": {"points": [{"x": 0, "y": 0}, {"x": 1.5, "y": 3}]}, "uuid": "a"},
        {"shape": "circle", "circle": {"radius": 12}},
        {"shape": "ellipse", "ellipse": {"radius": {"x": 3, "y": 4}}, "border_color": "#111"},
    ]
    return stalls
