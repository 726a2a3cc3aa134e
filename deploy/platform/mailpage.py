"""The mail catcher's page: what was mailed, how it looks, and its attachments; as JSON at /messages too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deploy.platform.mailcatcher import Mail, MailCatcher

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1d1d28 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .4rem .6rem; vertical-align: top }
tr + tr td { border-top: 1px solid #ddd } a { color: #6b2fb3 }
pre { white-space: pre-wrap; background: #f6f6f9; padding: 1rem }
iframe { width: 100%; height: 36rem; border: 1px solid #ddd } .quiet { color: #666 }
"""

SHOWN = 200
"""Mails on the first page."""


class _Page:
    def __init__(self, catcher: MailCatcher) -> None:
        self.catcher = catcher

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.catcher.start()
        yield
        await self.catcher.stop()

    def mail(self, request: Request) -> Mail:
        found = self.catcher.find(request.path_params["id"])
        if found is None:
            raise HTTPException(404, "no such mail")
        return found

    async def index(self, request: Request) -> Response:
        return _page("Mails", _list(self.catcher.messages, request.query_params.get("to", "")))

    async def show(self, request: Request) -> Response:
        mail = self.mail(request)
        return _page(mail.subject, _mail(mail))

    async def html(self, request: Request) -> Response:
        # The mail is a foreign page: it may show pictures and styles, and do nothing.
        policy = "default-src 'none'; img-src * data:; style-src 'unsafe-inline'; sandbox"
        return HTMLResponse(self.mail(request).html, headers={"Content-Security-Policy": policy})

    async def raw(self, request: Request) -> Response:
        return Response(self.mail(request).raw, media_type="message/rfc822")

    async def attachment(self, request: Request) -> Response:
        found = self.mail(request).attachments
        number = request.path_params["number"]
        if number >= len(found):
            raise HTTPException(404, "no such attachment")
        disposition = f"attachment; filename*=UTF-8''{quote(found[number].name)}"
        headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
        return Response(found[number].content, media_type=found[number].content_type, headers=headers)

    async def messages(self, request: Request) -> Response:
        """All mails, those `to` an address, or those whose recipients have something `like` in their address."""
        to, like = request.query_params.get("to"), request.query_params.get("like", "")
        found = [mail for mail in (self.catcher.to(to) if to else self.catcher.messages) if mail.reaches(like)]
        return JSONResponse({"items": [_json(each) for each in found]})

    async def clear(self, _: Request) -> Response:
        self.catcher.clear()
        return Response(status_code=204)

    async def health(self, _: Request) -> Response:
        mails = len(self.catcher.messages)
        return JSONResponse({"status": "ok", "smtp": self.catcher.smtp_url, "mails": mails})


def create(catcher: MailCatcher) -> Starlette:
    """The page over a catcher, whose SMTP server lives as long as the application."""
    page = _Page(catcher)
    return Starlette(
        lifespan=page.lifespan,
        routes=[
            Route("/", page.index),
            Route("/mails/{id}", page.show),
            Route("/mails/{id}/html", page.html),
            Route("/mails/{id}/raw", page.raw),
            Route("/mails/{id}/attachments/{number:int}", page.attachment),
            Route("/messages", page.messages),
            Route("/messages", page.clear, methods=["DELETE"]),
            Route("/healthz", page.health),
            Route("/readyz", page.health),
        ],
    )


def _json(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "received_at": mail.received_at.isoformat(),
        "sender": mail.sender,
        "recipients": list(mail.recipients),
        "subject": mail.subject,
        "headers": mail.headers,
        "text": mail.text,
        "html": mail.html,
        "attachments": [
            {
                "name": each.name,
                "content_type": each.content_type,
                "size": len(each.content),
                "path": f"/mails/{mail.id}/attachments/{number}",
            }
            for number, each in enumerate(mail.attachments)
        ],
    }


def _list(mails: list[Mail], to: str) -> str:
    search = (
        f'<form><label>Recipient <input name="to" value="{escape(to)}"></label> <button>Show</button></form>'
        '<p class="quiet">Footlights sends every mail here; none leaves this machine.</p>'
    )
    found = [mail for mail in mails if mail.reaches(to)]
    rows = [
        f"<tr><td>{mail.received_at:%d %b %H:%M:%S}</td><td>{escape(', '.join(mail.recipients))}</td>"
        f'<td><a href="/mails/{mail.id}">{escape(mail.subject or "(no subject)")}</a></td>'
        f"<td>{len(mail.attachments) or ''}</td></tr>"
        for mail in reversed(found[-SHOWN:])
    ]
    if not rows:
        return search + "<p>No mails yet. Buy a ticket, and come back.</p>"
    head = "<tr><th>Received (UTC)</th><th>To</th><th>Subject</th><th>Files</th></tr>"
    if len(found) > SHOWN:
        search += f'<p class="quiet">The newest {SHOWN} of {len(found)}.</p>'
    return f"{search}<table>{head}{''.join(rows)}</table>"


def _mail(mail: Mail) -> str:
    files = "".join(
        f'<li><a href="/mails/{mail.id}/attachments/{number}">{escape(each.name)}</a> '
        f'<span class="quiet">{escape(each.content_type)}, {len(each.content):,} bytes</span></li>'
        for number, each in enumerate(mail.attachments)
    )
    sender = escape(str(mail.message["From"] or mail.sender))
    page = f'<iframe sandbox src="/mails/{mail.id}/html" title="The mail as a page"></iframe>' if mail.html else ""
    return (
        f'<p><a href="/">All mails</a> · <a href="/mails/{mail.id}/raw">source</a></p>'
        f"<table><tr><th>From</th><td>{sender}</td></tr>"
        f"<tr><th>To</th><td>{escape(', '.join(mail.recipients))}</td></tr>"
        f"<tr><th>Received</th><td>{mail.received_at:%d %b %Y %H:%M:%S} UTC</td></tr></table>"
        f"<ul>{files}</ul>{page}<h2>Text</h2><pre>{escape(mail.text)}</pre>"
    )


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def run(folder: Path) -> None:
    """Serve page and SMTP until told to stop."""
    catcher = MailCatcher(port=int(os.environ.get("SMTP_PORT", "8026")), folder=folder)
    port = int(os.environ.get("PORT", "8025"))
    uvicorn.run(create(catcher), host="127.0.0.1", port=port, access_log=False, timeout_graceful_shutdown=2)
