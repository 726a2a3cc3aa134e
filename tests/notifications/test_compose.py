"""Building mails: every letter survives, and nothing that people type becomes a header."""

from __future__ import annotations

import email
import email.policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.notifications.letters import Letter
from services.notifications.mail import Envelope, File, compose
from services.notifications.mail.compose import clean, filename
from services.notifications.mail.wire import to_bytes

HEADERS = {
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
    "X-Footlights-Template", "MIME-Version", "Content-Type",
}  # fmt: skip
WORDS = (
    "Лісова",
    "пісня",
    "·",
    "Leśna",
    "pieśń,",
    "Your",
    "ticket:",
    "2026,",
    "a",
    "Б",
    "(x)",
    "—",
    "x" * 90,
    "Ї" * 60,
    "😀",
    "<x>",
    "@",
)
LETTER = Letter("Підтвердження", "Вітаємо!\n.\n..\nFrom here", "<p>Zażółć gęślą jaźń</p>", None)


def envelope(**more: object) -> Envelope:
    values: dict[str, object] = {
        "message_id": uuid4(),
        "template": "tickets_issued",
        "language": "uk",
        "sender": "tickets@footlights.example",
        "sender_name": "Театр «Сузір’я»",
        "reply_to": "kasa@example.com",
        "recipient": "olena@example.com",
        "recipient_name": "Олена",
    }
    return Envelope(**{**values, **more})  # type: ignore[arg-type]


def over_the_wire(mail: EmailMessage) -> EmailMessage:
    received = email.message_from_bytes(to_bytes(mail), policy=email.policy.default)
    assert isinstance(received, EmailMessage)
    return received


@pytest.mark.parametrize("name", ["Квитки F-12.pdf", "Bilety – Zażółć gęślą jaźń.pdf", "Ґанок їжака.pdf", "a" * 90])
def test_names_of_files_in_any_language_arrive(name: str):
    mail = over_the_wire(compose(envelope(files=(File(name, b"%PDF-1"),)), LETTER))
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == name
    assert attachment.get_content() == b"%PDF-1"
    assert attachment.get_content_type() == "application/pdf"


def test_both_forms_of_the_text_arrive_as_they_are():
    mail = over_the_wire(compose(envelope(), LETTER))
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n").strip() == LETTER.plain
    assert html.get_content().strip() == LETTER.html


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=16).map(" ".join))
@example(words="Your ticket: Лісова пісня · Leśna pieśń, Sunday, 27 December 2026, 12:29")
def test_every_space_arrives_and_none_is_added(words: str):
    """What the standard library alone loses: it folds "Leśna pieśń" into two parts that readers put together."""
    mail = compose(envelope(recipient_name=words), Letter(words, "text", "<p>text</p>", None))
    received = over_the_wire(mail)
    assert received["Subject"] == words[:250].strip()
    assert [address.addr_spec for address in received["To"].addresses] == ["olena@example.com"]
    # Decoded by the older parser: the newer one puts spaces into long names.
    name, _ = parseaddr(email.message_from_bytes(to_bytes(mail))["To"])
    assert str(make_header(decode_header(name))) == words[:120].strip()


def test_a_mail_is_ascii_unless_its_address_is_not():
    assert to_bytes(compose(envelope(), LETTER)).isascii()
    mail = to_bytes(compose(envelope(recipient="олена@example.com"), LETTER))
    assert " <олена@example.com>\r\n" in mail.decode()


@given(
    name=st.text(max_size=300),
    sender=st.text(max_size=300),
    subject=st.text(max_size=400),
    attached=st.text(max_size=300),
)
def test_nothing_people_type_forges_a_header_or_adds_a_recipient(name: str, sender: str, subject: str, attached: str):
    letter = Letter(subject, "text", "<p>text</p>", None)
    made = compose(envelope(recipient_name=name, sender_name=sender, files=(File(attached, b"%PDF-1"),)), letter)
    mail = over_the_wire(made)
    assert set(mail.keys()) <= HEADERS
    assert len(mail.keys()) == len(HEADERS)
    assert [address.addr_spec for address in mail["To"].addresses] == ["olena@example.com"]
    assert [address.addr_spec for address in mail["From"].addresses] == ["tickets@footlights.example"]
    assert " ".join(str(mail["Subject"]).split()) == clean(subject, 250)
    assert len(list(mail.iter_attachments())) == 1


@pytest.mark.parametrize("name", ["x\r\nBcc: eve@example.com", "x\nSubject: y", 'a"b, <eve@example.com>', "a" * 500])
def test_an_injection_is_only_a_strange_name(name: str):
    mail = over_the_wire(compose(envelope(recipient_name=name), LETTER))
    assert mail["Bcc"] is None
    assert [address.addr_spec for address in mail["To"].addresses] == ["olena@example.com"]


@pytest.mark.parametrize("address", ["a@b\r\nBcc: c@d", "no-at-sign", "a b@example.com", "a@b, c@d", ""])
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(ValueError, match=r"."):
        compose(envelope(recipient=address), LETTER)


def test_the_message_id_belongs_to_the_message():
    message_id = uuid4()
    first, second = (compose(envelope(message_id=message_id), LETTER) for _ in range(2))
    assert first["Message-ID"] == second["Message-ID"] == f"<{message_id}@footlights.example>"


def test_file_names_are_safe_to_save():
    assert filename("../../etc/pass\0wd") == "..-..-etc-passwd"
    assert filename("\u202egpj.exe") == "gpj.exe"
    assert filename("") == "file.pdf"
