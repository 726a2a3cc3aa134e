"""People at the gateway, and what they find in their mailboxes."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pypdf import PdfReader

from deploy.platform.mailcatcher import Mail
from services.notifications.delivery.parcel import ACCOUNT_LETTERS
from tests.flows.stage import Stage
from tests.harness import eventually

PASSWORD = "correct horse battery"


@dataclass
class Person:
    """Somebody at the gateway: unknown, signed in with a cookie, or a program of theirs with an API key."""

    platform: Stage
    name: str
    email: str
    phone: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def contact(self) -> dict[str, str | None]:
        """What is typed into a form about this person."""
        return {"name": self.name, "email": self.email, "phone": self.phone}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and answer; keyword names are headers (`order_key` is `Order-Key`)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.platform.ask(method, path, body, headers=self.headers | named)

    async def must(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        status, answer = await self.ask(method, path, body, **headers)
        assert status < 300, (method, path, status, answer)
        return answer

    async def get(self, path: str) -> Any:
        return await self.must("GET", path)

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return await self.must("POST", path, body, **headers)

    async def edit(self, path: str, change: dict[str, Any], part: str = "", method: str = "PATCH") -> Any:
        """Changes a thing, or a part of it, of which this person has just seen the newest version; who is told that
        somebody (an event on its way) was quicker looks again."""
        while True:
            async with self.platform.http.get(self.platform.url + path, headers=self.headers) as seen:
                version = seen.headers["ETag"]
            status, answer = await self.ask(method, path + part, change, if_match=version)
            if status != 412:
                assert status < 300, (method, path + part, status, answer)
                return answer

    async def register(self, *shared_with: UUID) -> None:
        """Opens an account on the platform with the data of this person, by the letter that they get, and stays signed
        in. `shared_with` are organisations that may see the data."""
        await self.platform.must("POST", "/auth/letters", {"email": self.email, "locale": "uk"})
        (letter,) = await eventually(lambda: self._mails(of_accounts=True), timeout=30)
        (token,) = re.findall(r"/auth/link\?token=([\w.-]+)", letter.text)
        reader = {
            "token": token,
            "name": self.name,
            "phone": self.phone,
            "password": PASSWORD,
            "shared_with": [str(organisation) for organisation in shared_with],
        }
        await self._enter("/auth/letters/use", reader)

    async def sign_in(self) -> None:
        await self._enter("/auth/sign-in", {"email": self.email, "password": PASSWORD})

    async def _enter(self, path: str, form: dict[str, Any]) -> None:
        async with self.platform.http.post(self.platform.url + path, json=form) as answer:
            body = await answer.json()
            assert answer.status < 300, body
            cookie = next(cookie for cookie in answer.cookies.values() if "device" not in cookie.key)
            self.headers = {"Cookie": f"{cookie.key}={cookie.value}", "X-CSRF-Token": body["csrf_token"]}

    async def letters(self, count: int = 1) -> list[Mail]:
        """The first `count` mails of this person, oldest first, without those to their account; no more have come by
        then."""
        await eventually(lambda: len(self._mails()) >= count, timeout=30)
        mails = self._mails()
        assert len(mails) == count, [mail.subject for mail in mails]
        return mails

    def _mails(self, *, of_accounts: bool = False) -> list[Mail]:
        found = self.platform.mail.to(self.email)
        return [mail for mail in found if (mail.message["X-Footlights-Template"] in ACCOUNT_LETTERS) == of_accounts]


def tickets_in(mail: Mail) -> list[str]:
    """The text of each ticket that a mail brings as PDF."""
    assert [file.content_type for file in mail.attachments] == ["application/pdf"], mail.subject
    return pages(mail.attachments[0].content)


def pages(pdf: bytes) -> list[str]:
    """The text of each page."""
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
