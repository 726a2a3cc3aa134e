"""Which addresses are read, and what counts as a document."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from services.notifications.delivery.verdicts import Refused, TryLater
from services.notifications.documents import LARGEST, Documents, Withdrawn
from tests.notifications.servers import PDF, DocumentServer, listening

PUBLIC = "https://tickets.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/api/ticketing/documents/x",
        "http://tickets.example.com/api/ticketing/documents/x",
        "https://tickets.example.com:8443/api/x",
        "https://tickets.example.com.evil.example/x",
        "https://tickets.example.com@evil.example/x",
        "https://user:pass@tickets.example.com/x",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://tickets.example.com",
        "https://tickets.example.com/api/../../admin",
        "https://tickets.example.com/%2e%2e/admin",
        "https://tickets.example.com/a\\b",
        "//tickets.example.com/x",
        "",
    ],
)
def test_other_addresses_are_not_read(url: str):
    with pytest.raises(Refused):
        Documents(None, PUBLIC).address(url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("public", "internal", "url", "read"),
    [
        (PUBLIC, "", f"{PUBLIC}/api/d/t0ken", f"{PUBLIC}/api/d/t0ken"),
        (PUBLIC, "http://gateway:8000/", f"{PUBLIC}/api/d/t?x=1", "http://gateway:8000/api/d/t?x=1"),
        (f"{PUBLIC}/shop/", "http://gateway:8000", f"{PUBLIC}/shop/d", "http://gateway:8000/d"),
        (PUBLIC, "", f"{PUBLIC}:443/d", f"{PUBLIC}/d"),
    ],
)
def test_our_own_are_read_from_inside(public: str, internal: str, url: str, read: str):
    assert Documents(None, public, internal).address(url) == read  # type: ignore[arg-type]


async def test_only_a_pdf_is_a_document():
    async with listening(DocumentServer()) as server, aiohttp.ClientSession() as http:
        documents = Documents(http, server.url)
        assert await documents.fetch(f"{server.url}/d") == PDF
        for answer, expected in (
            (web.Response(status=410), Withdrawn),
            (web.Response(status=404), TryLater),
            (web.Response(status=503), TryLater),
            (web.Response(text="<html>"), TryLater),
            (web.Response(status=302, headers={"Location": "http://169.254.169.254/"}), TryLater),
            (web.Response(body=b"%PDF-" + b" " * LARGEST), Refused),
        ):
            server.answers = [answer]
            with pytest.raises(expected):
                await documents.fetch(f"{server.url}/d")


async def test_a_server_that_is_not_there_may_come_back():
    async with aiohttp.ClientSession() as http:
        with pytest.raises(TryLater):
            await Documents(http, "http://127.0.0.1:1").fetch("http://127.0.0.1:1/d")
