"""A shop's webhook address that remembers what came, and fails on demand."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response


@dataclass(frozen=True)
class Caught:
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


@dataclass
class Catcher:
    """`refuse_next` answers that many requests with 503."""

    caught: list[Caught] = field(default_factory=list)
    refuse_next: int = 0
    refused: list[Caught] = field(default_factory=list)

    def kinds(self) -> list[str]:
        return [caught.event["type"] for caught in self.caught]

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/{path:path}")
        async def catch(path: str, request: Request) -> Response:
            caught = Caught(dict(request.headers), await request.body(), time.time())
            if self.refuse_next:
                self.refuse_next -= 1
                self.refused.append(caught)
                return Response(status_code=503)
            self.caught.append(caught)
            return Response(status_code=204)

        return app
