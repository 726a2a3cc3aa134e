"""The mailbox that other servers send their reports to: by IMAP, or a Maildir of this machine. Blocking.

A mail is unread until its report was recorded; what is read stays, for people to look at.
"""

from __future__ import annotations

import imaplib
import mailbox
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

TIMEOUT_SECONDS = 30
LARGEST = 256 * 1024
"""Bytes of a mail that are read: the report comes first in it, the mail that came back last."""


class Mailbox(Protocol):
    def unread(self, most: int) -> list[tuple[str, bytes]]:
        """Up to `most` unread mails, each with its name here. Raises `OSError` or `imaplib.IMAP4.error`."""

    def mark_read(self, names: list[str]) -> None: ...


def open_mailbox(url: str) -> Mailbox:
    """From `imaps://user:password@host/folder`, `imap://...` or `maildir:///path`. Raises `ValueError` otherwise."""
    parts = urlsplit(url)
    if parts.scheme in {"imap", "imaps"} and parts.hostname and parts.username:
        return _Imap(url)
    if parts.scheme == "maildir" and parts.path:
        return _Maildir(Path(unquote(parts.path)))
    raise ValueError("BOUNCES_URL must look like imaps://user:password@host/folder or maildir:///path")


class _Maildir:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def unread(self, most: int) -> list[tuple[str, bytes]]:
        box = mailbox.Maildir(self._folder, create=False)
        found: list[tuple[str, bytes]] = []
        for name in box.keys():  # noqa: SIM118 - it is no mapping
            if len(found) < most and "S" not in box.get_message(name).get_flags():
                with box.get_file(name) as file:
                    found.append((name, file.read(LARGEST)))
        return found

    def mark_read(self, names: list[str]) -> None:
        box = mailbox.Maildir(self._folder, create=False)
        for name in names:
            message = box.get_message(name)
            message.set_subdir("cur")
            message.add_flag("S")
            box[name] = message


class _Imap:
    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def unread(self, most: int) -> list[tuple[str, bytes]]:
        with self._open() as server:
            _, answer = server.uid("SEARCH", "UNSEEN")
            names = [name.decode() for name in (answer[0] or b"").split()[:most]]
            found: list[tuple[str, bytes]] = []
            for name in names:
                _, parts = server.uid("FETCH", name, f"(BODY.PEEK[]<0.{LARGEST}>)")
                found += [(name, part[1]) for part in parts if isinstance(part, tuple)]
            return found

    def mark_read(self, names: list[str]) -> None:
        if names:
            with self._open() as server:
                server.uid("STORE", ",".join(names), "+FLAGS.SILENT", r"(\Seen)")

    def _open(self) -> imaplib.IMAP4:
        parts, host = self._parts, self._parts.hostname or ""
        server = (
            imaplib.IMAP4_SSL(host, parts.port or 993, timeout=TIMEOUT_SECONDS)
            if parts.scheme == "imaps"
            else imaplib.IMAP4(host, parts.port or 143, timeout=TIMEOUT_SECONDS)
        )
        server.login(unquote(parts.username or ""), unquote(parts.password or ""))
        folder = unquote(parts.path.strip("/")) or "INBOX"
        status, words = server.select(f'"{folder}"')
        if status != "OK":
            raise OSError(f"no such folder: {words!r}")
        return server
