"""Every error is RFC 9457 `application/problem+json` with a stable `type` and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import Request

from chassis import context
from chassis.errors import is_passing
from chassis.logging import get_logger

log = get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
SCHEMA = {
    "type": "object",
    "description": "RFC 9457. `type` is stable and may be compared; `detail` is for people.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
"""Of every problem, in OpenAPI documents."""
UNSTORABLE = "22"
"""SQLSTATE class: the value itself is what PostgreSQL refuses."""


class Problem(Exception):
    """An error for the caller. Subclasses name themselves; `extra` members are added to the answer as they are."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be carried out"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra


class Unauthorised(Problem):
    status, slug, title = 401, "sign-in-needed", "Sign in first"


class Forbidden(Problem):
    status, slug, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    status, slug, title = 404, "not-found", "There is no such thing"


class TooSlow(Problem):
    status, slug, title = 408, "too-slow", "The request did not arrive in time"


class Conflict(Problem):
    status, slug, title = 409, "conflict", "The state does not allow this"


class PreconditionFailed(Problem):
    status, slug, title = 412, "changed-meanwhile", "Somebody changed it meanwhile"


class BodyTooLarge(Problem):
    status, slug, title = 413, "body-too-large", "The body is too large"


class JsonNeeded(Problem):
    status, slug, title = 415, "json-needed", "The body must be JSON"


class Invalid(Problem):
    status, slug, title = 422, "invalid", "Something in the request is not right"


class PreconditionRequired(Problem):
    status, slug, title = 428, "version-needed", "Say which version you saw"


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "The headers are too large"


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, detail: str, *, retry_after: int = 1, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class Unavailable(Problem):
    status, slug, title = 503, "try-again", "Not available at the moment"

    def __init__(self, detail: str, *, retry_after: int = 2, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class Refused(HTTPException):
    """A problem where only Starlette's own exceptions pass unchanged: while a body is read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, problem.detail)
        self.problem = problem


F = TypeVar("F", bound=Callable[..., Any])


def raises(*kinds: type[Problem]) -> Callable[[F], F]:
    """Names the problems of a route, or of a dependency of routes, for the OpenAPI document."""

    def name(function: F) -> F:
        function.problems = kinds  # type: ignore[attr-defined]
        return function

    return name


def raised_by(function: object) -> tuple[type[Problem], ...]:
    return getattr(function, "problems", ())


def answers(*kinds: type[Problem]) -> dict[str, Any]:
    """The responses of an OpenAPI operation; a status names each of its problems."""
    texts: dict[int, list[str]] = {}
    for kind in sorted(dict.fromkeys(kinds), key=lambda kind: kind.status):
        texts.setdefault(kind.status, []).append(f"{kind.title} (`{kind.slug}`)")
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": "; ".join(found), "content": content} for status, found in texts.items()}


def body(status: int, slug: str, title: str, detail: str, **extra: Any) -> bytes:
    """The JSON of a problem."""
    members = {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail}
    request_id = context.request_id.get()
    if request_id:
        members["request_id"] = request_id
    return orjson.dumps({**members, **extra}, default=str)


def response(problem: Problem) -> Response:
    return Response(
        body(problem.status, problem.slug, problem.title, problem.detail, **problem.extra),
        problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Makes every error of an app a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return of(request, error)

    for kind in (Problem, RequestValidationError, HTTPException, DBAPIError, PoolTimeout, OSError):
        app.add_exception_handler(kind, answer)


def of(request: Request, error: Exception) -> Response:
    """The problem that an error is for the caller."""
    match error:
        case Problem():
            return response(error)
        case Refused():
            return response(error.problem)
        case RequestValidationError():
            return _not_valid(error)
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase
            content = body(error.status_code, phrase.lower().replace(" ", "-"), phrase, str(error.detail))
            return Response(content, error.status_code, headers=dict(error.headers or {}), media_type=MEDIA_TYPE)
        case _ if is_passing(error):
            log.warning("request failed for a passing reason", path=request.url.path, error=repr(error))
            return response(Unavailable("The service cannot reach its database. Try again in a moment."))
        case DBAPIError() if (getattr(error.orig, "sqlstate", None) or "").startswith(UNSTORABLE):
            return response(Invalid("A value in the request cannot be stored: a number too large, or a NUL character."))
    return unexpected(request, error)


def _not_valid(error: RequestValidationError) -> Response:
    errors = [{"where": ".".join(str(part) for part in item["loc"]), "what": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in errors[:5])
    return response(Invalid(detail, errors=errors))


def unexpected(request: Request, error: Exception) -> Response:
    """Logs the error and hides it from the caller. The edge calls it for whatever nobody handled."""
    log.error("unexpected error", path=request.url.path, exc_info=error)
    detail = "Something went wrong on our side; the request id helps us to find it."
    return Response(body(500, "unexpected", "Unexpected error", detail), 500, media_type=MEDIA_TYPE)
