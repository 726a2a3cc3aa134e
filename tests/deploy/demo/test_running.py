"""`make demo PLATFORM=...`: it finds the account by itself where it can, and says what is missing where it cannot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.demo.client import Client
from deploy.demo.running import NotUsable, find, sign_in
from deploy.platform.home import Home
from deploy.platform.processes import free_ports
from tests.harness import serve


async def _keys(_: Request) -> Response:
    return JSONResponse({"keys": []})


async def _nobody(_: Request) -> Response:
    return JSONResponse({"detail": "There is no such account."}, 401)


@pytest.fixture
async def gateway() -> AsyncIterator[str]:
    routes = [Route("/.well-known/jwks.json", _keys), Route("/auth/sign-in", _nobody, methods=["POST"])]
    async with serve(Starlette(routes=routes)) as url:
        yield url


@pytest.fixture
def home(tmp_path):
    """The folder of a running platform; this process plays its mail catcher too."""
    home = Home(tmp_path)
    home.acquire()

    def note(gateway: str, *, mail: bool = True) -> Home:
        home.write_note({"mail": os.getpid()} if mail else {}, {"urls": {"gateway": gateway, "mail": "http://mail"}})
        return home

    yield note
    home.note.unlink(missing_ok=True)  # or the next owner of the folder would end "our" mail catcher
    home.release()


async def test_of_a_platform_of_this_checkout_everything_is_known(gateway, home):
    known = home(gateway)
    for url in (gateway, gateway + "/", gateway.replace("127.0.0.1", "localhost"), gateway.removeprefix("http://")):
        found = await find(url, "", "", "", known)
        assert (found.email, found.mails) == ("organizer@theatre.example", "http://mail")
        assert found.password == known.secrets()["DEMO_PASSWORD"]


async def test_what_the_person_says_goes_first(gateway, home):
    found = await find(gateway, "me@example.com", "secret", "http://mails/", home(gateway))
    assert (found.email, found.password, found.mails) == ("me@example.com", "secret", "http://mails")


async def test_without_a_catcher_of_its_own_no_mails_are_looked_into(gateway, home):
    assert (await find(gateway, "", "", "", home(gateway, mail=False))).mails == ""


async def test_on_any_other_platform_the_person_names_an_account(gateway, home, tmp_path):
    for known in (home("http://127.0.0.1:1"), Home(tmp_path / "nothing-runs")):
        with pytest.raises(NotUsable, match=r"DEMO_EMAIL=\.\.\. DEMO_PASSWORD=\.\.\. make demo PLATFORM=http"):
            await find(gateway, "", "", "", known)
    assert (await find(gateway, "me@example.com", "secret", "", home("http://127.0.0.1:1"))).email == "me@example.com"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "http://[::1"])
async def test_no_address(url):
    with pytest.raises(NotUsable, match="is not the address of a gateway"):
        await find(url, "", "", "")


async def test_nobody_there_or_somebody_else(monkeypatch):
    monkeypatch.setattr("deploy.demo.running.ATTEMPTS", 1)
    with pytest.raises(NotUsable, match="make up"):
        await find(f"http://127.0.0.1:{free_ports(1)[0]}", "", "", "")
    async with serve(Starlette()) as url:
        with pytest.raises(NotUsable, match="not a gateway of Footlights"):
            await find(url, "", "", "")


async def test_an_account_that_is_not_known(gateway):
    async with Client(gateway) as staff:
        with pytest.raises(NotUsable, match=r"There is no such account\. Name an organizer: DEMO_EMAIL"):
            await sign_in(staff, "me@example.com", "wrong")
