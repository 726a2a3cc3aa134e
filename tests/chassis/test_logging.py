"""What opens something is in no line of the log, whoever writes the line."""

from __future__ import annotations

import io
import json
import logging
from uuid import uuid4

import pytest
from pydantic import SecretStr

from chassis import logging as ours
from chassis.links import Links
from tests.chassis import probe

TOKEN = Links(SecretStr("a secret of this test, of 32 bytes")).sign("order", uuid4(), uuid4(), ttl_seconds=60)
SECRETS = [
    f"GET /api/ticketing/documents/{TOKEN} HTTP/1.1",
    f"https://tickets.example/api/orders/orders/1/pay?key={TOKEN}&x=1",
    "Authorization: Bearer flk_0123456789abcdef",
    "'authorization': 'bearer abcdefgh.ijkl'",
    "cookie: a=b; __Host-footlights=s3cretS3cret; c=d",
    "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g",
    "550 5.1.1 <olena@mail.example.com> no such user; олена@пошта.укр neither",
    "/auth/confirm/Zk3_pX9-aQ1bC2dE4fG5hI6j",
]
KEPT = [
    f"order {uuid4()} of /api/orders/orders/{uuid4()}/pay",
    f"request {uuid4().hex} took =0.123456789012345678901234",
    'File "/srv/services/notifications/delivery/the_longest_name_of_a_file.py", line 12',
    "DATABASE_URL=postgresql://orders_api@db.example.com:5432/footlights_orders_with_a_long_name",
    "DATABASE_URL=postgresql://orders_api@127.0.0.1:5432/footlights_orders_with_a_long_name",
]


@pytest.fixture
def written(request: pytest.FixtureRequest):
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    ours.configure(probe.Settings(log_format=request.param, log_level="INFO"))
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    yield stream
    root.handlers, root.level = before, level


@pytest.mark.parametrize("written", ["json", "console"], indirect=True)
def test_secrets_are_taken_out_of_every_line(written: io.StringIO) -> None:
    for secret in SECRETS:
        ours.get_logger("ours").warning("failed", path=secret, error=repr(ValueError(secret)))
        logging.getLogger("a.library").error("failed: %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            ours.get_logger("ours").exception("failed")
    lines = written.getvalue()
    for part in (TOKEN, TOKEN[:30], "flk_", "abcdefgh.ijkl", "s3cret", "c2FsdHNhbHQ", "Zk3_pX9", "olena@", "олена@"):
        assert part not in lines
    assert "/documents/[secret]" in lines


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_what_helps_to_find_a_fault_stays(written: io.StringIO) -> None:
    for text in KEPT:
        ours.get_logger("ours").warning("failed", text=text)
    assert [json.loads(line)["text"] for line in written.getvalue().splitlines()] == KEPT
