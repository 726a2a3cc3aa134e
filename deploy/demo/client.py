"""HTTP as buyers and staff use it: through the gateway, with cookies for staff and signed keys for buyers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

CARD, HELD_CARD = "4242424242424242", "4000000000001000"
"""Of the sandbox: one that pays, and one whose bank only holds the money."""
PATIENCE = 60
"""How often a request is repeated that was told to come back (429, 503) or found nobody there."""


class Refused(Exception):
    """An answer of 400 or more, with the problem's members."""

    def __init__(
        self, method: str, path: str, status: int, problem: Mapping[str, Any], *, repeated: bool = False
    ) -> None:
        super().__init__(f"{method} {path}: {status} {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem
        self.repeated = repeated
        """An attempt before this one got no answer, so it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """One person's connection to the gateway. Requests that the platform cannot serve now are repeated."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway.rstrip("/")
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        jar = aiohttp.CookieJar(unsafe=True)  # the address is a number
        self._http = aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def sign_in(self, email: str, password: str) -> None:
        answer = await self.ask("POST", "/auth/sign-in", {"email": email, "password": password})
        self._headers = {"X-CSRF-Token": answer["csrf_token"]}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of a successful answer; keyword names are headers (`order_key` is `Order-Key`). Raises `Refused`."""
        return (await self.send(method, path, body, **headers)).body

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        url = path if path.startswith("http") else self.gateway + path
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        repeated = False
        for attempt in range(PATIENCE):
            try:
                async with self._http.request(method, url, json=body, headers=sent, allow_redirects=False) as answer:
                    text = await answer.text()
            except (aiohttp.ClientConnectionError, TimeoutError):
                if attempt + 1 == PATIENCE:
                    raise
                repeated = True
                await asyncio.sleep(min(0.1 * 2**attempt, 2))
                continue
            if answer.status in (429, 502, 503, 504) and attempt + 1 < PATIENCE:
                repeated = repeated or answer.status != 429
                await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), 2))
                continue
            content = _json(text)
            if answer.status >= 400:
                problem = content if isinstance(content, dict) else {"detail": text}
                raise Refused(method, path, answer.status, problem, repeated=repeated)
            return Answer(answer.status, content, answer.headers.copy())
        raise RuntimeError(f"{method} {path} was never served")

    async def pay_by_card(self, page: str, number: str = CARD, *, comes_back: bool = True) -> None:
        """Fills in the hosted card page and follows it back, as a browser does that is not closed before."""
        form = {"number": number, "expiry": "12/34", "cvc": "123"}
        back = ""
        for attempt in range(PATIENCE):
            try:
                async with self._http.post(page, data=form, allow_redirects=False) as answer:
                    await answer.read()
                    back = answer.headers.get("Location", "")
                break
            except (aiohttp.ClientConnectionError, TimeoutError):
                if attempt + 1 == PATIENCE:
                    raise
                await asyncio.sleep(0.5)
        if comes_back and back.startswith(self.gateway):
            await self.send("GET", back)

    async def all_pages(self, path: str) -> list[Any]:
        """Items of every page of a list."""
        found, cursor = [], ""
        while True:
            page = await self.ask("GET", path + (f"&cursor={cursor}" if cursor else ""))
            found += page["items"]
            cursor = page.get("next") or ""
            if not cursor:
                return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
