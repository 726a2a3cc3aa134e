"""A stale edit never overwrites: the version seen travels as `ETag` and comes back as `If-Match`."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response

from chassis.problems import Invalid, PreconditionFailed, PreconditionRequired, raises


def etag(version: int) -> str:
    return f'"v{version}"'


def set_etag(response: Response, version: int) -> None:
    response.headers["ETag"] = etag(version)


@raises(PreconditionFailed, PreconditionRequired)
async def _if_match(
    if_match: Annotated[str | None, Header(description='The ETag you saw, such as "v7"')] = None,
) -> int:
    if if_match is None:
        raise PreconditionRequired("Send If-Match with the ETag of the version you saw, so no other edit is lost.")
    return read_etag(if_match)


def read_etag(if_match: str) -> int:
    """The version in an ETag of ours. Raises `Invalid`."""
    match = re.fullmatch(r'(?:W/)?"v(\d{1,18})"', if_match.strip())
    if match is None:
        raise Invalid('If-Match must be an ETag of this service, such as "v7".')
    return int(match.group(1))


@raises(PreconditionFailed)
async def _seen(
    if_match: Annotated[str | None, Header(description='The ETag you saw, such as "v7"; checked when sent')] = None,
) -> int | None:
    return None if if_match is None else read_etag(if_match)


IfMatch = Annotated[int, Depends(_if_match)]
Seen = Annotated[int | None, Depends(_seen)]
"""An action that fits only one state needs no version, but honours one."""


def check_version(seen: int, actual: int) -> None:
    """Raises 412 when somebody changed the object since it was seen."""
    if seen != actual:
        raise PreconditionFailed(
            f"You saw version {seen}, it is {actual} now. Read it again and repeat your change.",
            headers={"ETag": etag(actual)},
            version=actual,
        )
