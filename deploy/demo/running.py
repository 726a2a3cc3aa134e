"""A platform that runs already: where it is, and whom to sign in as.

Of one that `make up` started from this checkout everything is known by itself; of any other the person says it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from contracts.accounts import Role
from deploy.demo.client import Client, Refused
from deploy.demo_data import address_of
from deploy.platform.home import Home, default_home

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}
ATTEMPTS = 3
HOW = "DEMO_EMAIL=... DEMO_PASSWORD=... make demo PLATFORM={gateway}"


class NotUsable(Exception):
    """The demo cannot begin on this platform; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    gateway: str
    email: str
    password: str
    mails: str
    """Of the mail catcher; empty if there is none to look into."""


async def find(url: str, email: str, password: str, mails: str, home: Home | None = None) -> Running:
    """What is needed to sell on the platform at `url`. Raises `NotUsable`."""
    gateway = _address(url)
    await _must_answer(gateway)
    home = home or Home(default_home())
    note = home.read_note() if home.owner() else {}
    urls: Any = note.get("urls", {})
    if _same(gateway, urls.get("gateway", "")):
        email = email or address_of(Role.ORGANIZER)
        password = password or home.secrets()["DEMO_PASSWORD"]
        if any(child.name == "mail" for child in home.children()):
            mails = mails or urls["mail"]
    if not (email and password):
        raise NotUsable(
            f"The platform at {gateway} was not started from this checkout, so the demo knows no account there. "
            f"Name an organizer: {HOW.format(gateway=gateway)}"
        )
    return Running(gateway, email, password, mails.rstrip("/"))


async def sign_in(staff: Client, email: str, password: str) -> None:
    """Raises `NotUsable` when the platform does not know the account."""
    try:
        await staff.sign_in(email, password)
    except Refused as refused:
        if refused.status not in (401, 403, 422):
            raise
        raise NotUsable(
            f"{email} cannot sign in at {staff.gateway}: {refused.problem.get('detail', refused)} "
            f"Name an organizer: {HOW.format(gateway=staff.gateway)}"
        ) from None


def _address(url: str) -> str:
    gateway = (url if "://" in url else f"http://{url}").rstrip("/")
    try:
        parts = urlsplit(gateway)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise NotUsable(f"{url!r} is not the address of a gateway, such as http://127.0.0.1:8000.")
    return gateway


async def _must_answer(gateway: str) -> None:
    why = ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        for attempt in range(ATTEMPTS):
            try:
                async with http.get(f"{gateway}/.well-known/jwks.json") as answer:
                    if answer.status < 500:
                        if answer.status != 200 or "json" not in answer.content_type:
                            raise NotUsable(f"What answers at {gateway} is not a gateway of Footlights.")
                        return
                    why = f"it answers {answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                why = str(error) or "it does not answer"
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(1)
    raise NotUsable(
        f"The platform at {gateway} cannot be used: {why}. Is it running? `make up` starts one; without PLATFORM the "
        "demo starts its own."
    )


def _same(one: str, other: str) -> bool:
    """Whether two addresses are the same port of this machine, however it is called."""
    a, b = urlsplit(one), urlsplit(other)
    return bool(b.hostname) and a.port == b.port and {a.hostname, b.hostname} <= LOCAL
