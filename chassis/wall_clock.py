"""Moments as people see them: on the organisation's wall clock, in their language."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_datetime


def zone(name: str | None) -> ZoneInfo:
    """The IANA zone, or UTC without one and for a name that this machine does not know."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def show(moment: datetime, time_zone: str, locale: str) -> str:
    """Weekday, date and time; UTC is named, for it is nobody's wall clock."""
    clock = zone(time_zone)
    text = format_datetime(moment, "EEEE, d MMMM y, HH:mm", tzinfo=clock, locale=locale)
    return f"{text} UTC" if clock.key == "UTC" else text
