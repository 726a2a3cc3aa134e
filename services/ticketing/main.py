"""Ticketing: the composition root."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from chassis.app import create_app
from chassis.db import Database
from chassis.jobs import Job
from chassis.links import Links
from chassis.tail import Tail
from services.ticketing import consumers
from services.ticketing.api import HOT_ROUTES, ROUTERS, document_hot_routes
from services.ticketing.halls.workshop import Workshop
from services.ticketing.holds import expiry
from services.ticketing.holds.place import BoxOffice
from services.ticketing.holds.quotes import Quotes
from services.ticketing.holds.tokens import HoldTokens
from services.ticketing.holds.yours import Holders
from services.ticketing.metrics import LAPSED_SECONDS
from services.ticketing.retention import rules
from services.ticketing.settings import Settings
from services.ticketing.shows import commands
from services.ticketing.shows.board import Board
from services.ticketing.shows.seatmap import SeatMaps
from services.ticketing.tickets.codes import Codes
from services.ticketing.tickets.issue import Printer
from services.ticketing.tickets.press import Press

LAPSE_SECONDS = 1.0
MEASURE_SECONDS = 15.0
FINISH_SECONDS = 60.0
DAY = 86_400.0
OWN_TOPICS = ("ticketing.show", "ticketing.hold", "ticketing.ticket")


def create(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    quotes = Quotes(settings.quote_signing_key.get_secret_value(), settings.quote_published_keys)
    tokens = HoldTokens(settings.link_secret)
    codes = Codes(settings.ticket_signing_key.get_secret_value(), settings.ticket_published_keys)
    printer = Printer(codes, Links(settings.link_secret), settings.public_url, settings.document_days * DAY)

    # What one brings to be checked never delays what others need to sell.
    workshop, reading = Workshop(), Workshop()
    board = Board(reading, settings.seats_in_memory)
    app = create_app(
        settings,
        title="Footlights ticketing",
        routers=ROUTERS,
        hot_routes=HOT_ROUTES,
        consumer=consumers.build(settings, board, printer),
        job_list=[
            Job("lapse-holds", LAPSE_SECONDS, expiry.lapse_holds),
            Job("measure-holds", MEASURE_SECONDS, expiry.measure, alone=True, leave=partial(LAPSED_SECONDS.set, 0)),
            Job("finish-shows", FINISH_SECONDS, partial(finish_shows, board, timedelta(hours=settings.show_hours))),
        ],
        retention=rules(settings),
        lifespan=selling,
    )
    board.attach(app.state.db)
    app.state.board = board
    app.state.workshop = workshop
    app.state.workshops = [workshop, reading]
    app.state.quotes = quotes
    app.state.hold_tokens = tokens
    app.state.printer = printer
    app.state.press = Press(
        queue=settings.document_queue,
        link_requests=settings.document_link_requests,
        cache_bytes=settings.document_cache_bytes,
    )
    app.state.seat_maps = SeatMaps(app.state.db, board, settings.seatmap_refresh_seconds, settings.seats_in_memory)
    app.state.holders = Holders(app.state.db, tokens)
    app.state.box_office = BoxOffice(
        app.state.db, settings, board, app.state.seat_maps, quotes, tokens, app.state.holders
    )
    document_hot_routes(app)
    return app


@contextlib.asynccontextmanager
async def selling(app: FastAPI) -> AsyncIterator[None]:
    """Seats are sold, and the seat maps hear what becomes of them."""
    maps: SeatMaps = app.state.seat_maps
    tail = Tail(app.state.settings, OWN_TOPICS, maps.hear, maps.wants)
    listening = asyncio.create_task(tail.run(), name="seat-map-tail")
    try:
        async with app.state.box_office:
            yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for workshop in app.state.workshops:
            workshop.close()


async def finish_shows(board: Board, after: timedelta, db: Database) -> int:
    async with db.as_worker() as session:
        return await commands.finish_shows(session, board, after)


app = create()
