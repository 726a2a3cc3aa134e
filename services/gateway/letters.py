"""Mailed links: they open an account, sign in instead of a password, and replace a forgotten one, all in one.

Whoever asks is answered the same whether an account exists or not; only the reader of the mailbox learns more. An
address counts as somebody's when a link that was sent to it has been used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.people import normalise_email
from contracts.accounts import LetterKind, LetterRequested
from services.gateway import accounts
from services.gateway.errors import LetterOver, PersonNeeded, UnusableEmail
from services.gateway.models import Account, Letter


@dataclass(frozen=True, slots=True)
class Reader:
    """What the reader of a letter says of themselves. A name is needed where the address is nobody's yet."""

    name: str | None = None
    phone: str | None = None
    password_hash: str | None = None
    share_with: tuple[UUID, ...] = ()


def address_of(email: str) -> str:
    """The address to write to. Raises `UnusableEmail`."""
    address = normalise_email(email)
    if address is None:
        raise UnusableEmail(f"{email!r} is not an e-mail address.")
    return address


async def request(session: AsyncSession, email: str, locale: str, lifetime: timedelta) -> UUID:
    """Asks for a letter to an address; what it says depends on whether the address is somebody's."""
    address = address_of(email)
    account = await accounts.find_account(session, address)
    letter = Letter(email=address, locale=locale, expires_at=datetime.now(UTC) + lifetime)
    session.add(letter)
    await session.flush()
    known = account if account is not None and account.verified_at is not None else None
    asked = LetterRequested(
        letter_id=letter.id,
        kind=LetterKind.SIGN_IN if known else LetterKind.OPEN_ACCOUNT,
        email=address,
        name=known.name if known else "",
        locale=known.locale if known else locale,
        expires_at=letter.expires_at,
    )
    outbox.add(session, asked, organisation=None, version=1)
    return letter.id


async def read(session: AsyncSession, letter_id: UUID, *, lock: bool = False) -> Letter:
    """A letter that still opens something. Raises `LetterOver`."""
    letter = await session.get(Letter, letter_id, with_for_update=lock)
    if letter is None or letter.used_at is not None or letter.expires_at <= datetime.now(UTC):
        raise LetterOver("The link was used before, or its time is over. Ask for a new one.")
    return letter


async def is_known(session: AsyncSession, letter: Letter) -> bool:
    """Whether the address is somebody's already."""
    account = await accounts.find_account(session, letter.email)
    return account is not None and account.verified_at is not None


async def use(session: AsyncSession, letter_id: UUID, reader: Reader) -> Account:
    """The account of the letter's reader, opened if there is none; a password given replaces the one before.

    What others entered about an address that was nobody's is replaced by what its reader says. Raises `LetterOver`,
    `PersonNeeded`.
    """
    letter = await read(session, letter_id, lock=True)
    await accounts.one_at_a_time(session, letter.email)
    account = await accounts.find_account(session, letter.email, lock=True)
    if (account is None or account.verified_at is None) and reader.name is None:
        raise PersonNeeded("Say your name: the account is new.")
    letter.used_at = datetime.now(UTC)
    if account is None:
        return await accounts.create_account(
            session,
            email=letter.email,
            name=reader.name or "",
            phone=reader.phone,
            locale=letter.locale,
            password_hash=reader.password_hash,
            verified=True,
            shared_with=reader.share_with,
        )
    if account.verified_at is None:
        account.name, account.phone, account.locale = reader.name or "", reader.phone, letter.locale
        account.shared_with = list(reader.share_with)
        await accounts.verify(session, account)
    if reader.password_hash is not None:
        await accounts.set_password(session, account, reader.password_hash)
    return account
