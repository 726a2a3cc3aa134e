"""Routes of mailed links, and the page that a link opens until there are others.

Programs that guard mailboxes follow links, so opening one changes nothing: its page has a button.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError

from chassis.edge import public
from chassis.intake import takes
from chassis.letters import PAGE, letter_of
from chassis.problems import Problem, TooManyRequests, Unauthorised, raises
from services.gateway import letters, linkpage, passwords
from services.gateway.api import signed_in
from services.gateway.asking import attempts_of, db_of, identities_of, network_of, settings_of, tell_sign_in
from services.gateway.attempts import Limit
from services.gateway.errors import LetterOver, PersonNeeded, TooManyAttempts, UnusableEmail, WeakPassword
from services.gateway.schemas import LetterAnswer, LetterAsked, LetterUse, SignedIn

HOUR_SECONDS = 3600.0
MOST_FORM_BYTES = 8 * 1024

router = APIRouter(tags=["account"], dependencies=[Depends(public())])


@router.post("/auth/letters", status_code=202)
@raises(TooManyAttempts, UnusableEmail)
async def ask_for_a_letter(asked: LetterAsked, request: Request) -> LetterAnswer:
    """Mails a link that opens an account (REG-6), signs in without a password, or replaces a forgotten one.

    The answer is the same whether there is an account. 429 if too many were asked for from one network.
    """
    settings, attempts = settings_of(request), attempts_of(request)
    address = letters.address_of(asked.email)
    await attempts.start([Limit(("letters from", network_of(request)), settings.letters_per_network, HOUR_SECONDS)])
    lifetime = identities_of(request).letter_lifetime
    try:
        await attempts.start([Limit(("letters to", address), settings.letters_per_address, lifetime.total_seconds())])
    except TooManyRequests:
        pass  # so many are in the mailbox already, and each of them still works
    else:
        async with db_of(request).as_worker() as session:
            await letters.request(session, address, asked.locale, lifetime)
    return LetterAnswer(
        detail=f"A letter is on its way to {asked.email}. Its link works for {settings.letter_minutes} minutes."
    )


@router.post("/auth/letters/use")
@raises(LetterOver, PersonNeeded, WeakPassword)
async def use_a_letter(given: LetterUse, request: Request, response: Response) -> SignedIn:
    """Signs in with the token of a mailed link, once. Who has no account yet says their name; anybody may choose a
    password."""
    letter_id = letter_of(settings_of(request), given.token)
    password_hash = None
    if given.password is not None:
        async with db_of(request).as_worker() as session:
            address = (await letters.read(session, letter_id)).email
        await passwords.require_strong(given.password, address, given.name)
        password_hash = await passwords.hash_password(given.password)
    async with db_of(request).as_worker() as session:
        account = await letters.use(
            session, letter_id, letters.Reader(given.name, given.phone, password_hash, tuple(given.shared_with))
        )
        answer = await signed_in(session, account, request, response)
    identities_of(request).forget(account_id=account.id)
    tell_sign_in(request, account.id, by="letter", outcome="ok")
    return answer


@router.get(PAGE, include_in_schema=False)
async def open_link(request: Request, token: Annotated[str, Query(max_length=1000)] = "") -> HTMLResponse:
    """The page behind a mailed link."""
    try:
        async with db_of(request).as_worker() as session:
            letter = await letters.read(session, letter_of(settings_of(request), token))
            form = linkpage.Form(letter.email, letter.locale, token, known=await letters.is_known(session, letter))
    except (LetterOver, Unauthorised) as problem:
        return linkpage.over(problem)
    return linkpage.show(form)


@router.post(PAGE, include_in_schema=False)
@takes(MOST_FORM_BYTES, json=False)
async def press_button(request: Request) -> HTMLResponse:
    """What the page's button does."""
    sent = parse_qs((await request.body()).decode(errors="replace"))
    fields = {name: values[0] for name, values in sent.items() if values[0].strip()}
    token = fields.get("token", "")
    answer = Response()
    try:
        signed = await use_a_letter(LetterUse.model_validate(fields), request, answer)
    except (LetterOver, Unauthorised) as problem:
        return linkpage.over(problem)
    except ValidationError as error:
        return await _again(request, token, "; ".join(one["msg"] for one in error.errors()))
    except Problem as problem:
        return await _again(request, token, problem.detail)
    page = linkpage.done(signed.account.locale, signed.account.name)
    page.raw_headers.extend(header for header in answer.raw_headers if header[0] == b"set-cookie")
    return page


async def _again(request: Request, token: str, why: str) -> HTMLResponse:
    async with db_of(request).as_worker() as session:
        letter = await letters.read(session, letter_of(settings_of(request), token))
        form = linkpage.Form(letter.email, letter.locale, token, known=await letters.is_known(session, letter), why=why)
    return linkpage.show(form)
