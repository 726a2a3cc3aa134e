"""Whether the show of a quote may still be bought, and under which name and date (TKT-25).

A quote says what was true when the seats were held; what ticketing told since is newer. Orders that were placed may
still be paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ticketing import ShowStatus
from services.orders.buying.quotes import Quote
from services.orders.errors import ShowMoved, ShowNotOnSale
from services.orders.known import Show

SOLD = (ShowStatus.ON_SALE, ShowStatus.DRAFT)
"""Nobody holds seats of a draft: where one is known as such, its start of sale is still on the way."""
WHY = {
    ShowStatus.CANCELLED: "The show is cancelled. Choose another one.",
    ShowStatus.REPLACED: "The show is replaced by another one. Choose seats there.",
    ShowStatus.FINISHED: "The show is over. Choose another one.",
}
STOPPED = "The sale of tickets for this show is stopped. Choose another show, or ask the organiser."


async def still_sold(session: AsyncSession, quote: Quote, dates_seen: Mapping[UUID, datetime]) -> Quote:
    """The quote, with the show's name and date of today. `dates_seen` are dates that the buyer agrees to, by show.

    Raises `ShowNotOnSale` or `ShowMoved`.
    """
    # Locked, so that a change of the show that is being learnt reaches this order too.
    show = await session.scalar(select(Show).where(Show.id == quote.show_id).with_for_update(read=True))
    if show is not None and show.status not in SOLD:
        why = WHY.get(ShowStatus(show.status), STOPPED)
        raise ShowNotOnSale(why, show_id=str(quote.show_id), show_status=show.status)
    if show is not None and show.told_at >= quote.issued_at:
        if show.starts_at not in (quote.starts_at, dates_seen.get(show.id)):
            raise ShowMoved(
                f"The show now begins at {show.starts_at.isoformat()}. If that suits the buyer, send this date in"
                " dates_seen, or hold the seats again.",
                show_id=str(show.id),
                starts_at=show.starts_at.isoformat(),
            )
        quote = replace(quote, show_name=show.name, starts_at=show.starts_at)
    if quote.starts_at <= datetime.now(UTC):
        raise ShowNotOnSale("The show has begun; tickets are not sold any more.", show_id=str(quote.show_id))
    return quote
