"""Speaking to a mail server: where SMTP_URL leads, signing in, encryption, unusual addresses."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chassis.people import normalise_email
from deploy.platform.mailcatcher import MailCatcher
from services.notifications.delivery.verdicts import Refused, TryLater, Unreachable
from services.notifications.letters import Letter
from services.notifications.mail import Mailer, Server, compose
from tests.notifications.servers import SmtpServer
from tests.notifications.test_compose import envelope

LETTER = Letter("Hello", "plain", "<p>html</p>", None)
SENDER = "tickets@footlights.example"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://127.0.0.1:8026", Server("127.0.0.1", 8026, None, None, False, None, True)),
        ("smtp://mail.example.com", Server("mail.example.com", 25, None, None, False, None, True)),
        ("smtp://u%40x:p%2Fw@mail.example.com", Server("mail.example.com", 587, "u@x", "p/w", False, True, True)),
        ("smtp://u:p@localhost:25", Server("localhost", 25, "u", "p", False, None, True)),
        ("smtps://u:p@mail.example.com", Server("mail.example.com", 465, "u", "p", True, False, True)),
        ("smtp://m:25?starttls=never&verify=no", Server("m", 25, None, None, False, False, False)),
    ],
)
def test_smtp_url_says_where_and_how(url: str, server: Server):
    assert Server.parse(url) == server


@pytest.mark.parametrize("url", ["http://mail", "smtp://", "mail.example.com", "smtp://m?starttls=maybe"])
def test_another_url_is_refused(url: str):
    with pytest.raises(ValueError, match=r"SMTP_URL"):
        Server.parse(url)


async def send(url: str, recipient: str = "olena@example.com") -> str:
    mailer = Mailer(Server.parse(url), hello="footlights.example")
    try:
        return await mailer.send(compose(envelope(recipient=recipient), LETTER), SENDER, recipient)
    finally:
        await mailer.close()


async def test_it_signs_in_over_an_encrypted_connection(certificate: ssl.SSLContext):
    server = SmtpServer(tls=certificate, require_tls=True, password="secret")
    await server.start()
    try:
        url = f"smtp://anna:secret@127.0.0.1:{server.port}?starttls=required"
        assert await send(f"{url}&verify=no") == "250 kept"
        assert server.sign_ins == ["anna"]
        with pytest.raises(Unreachable, match="certificate"):
            await send(url)
        with pytest.raises(Unreachable, match="password: 535"):
            await send(f"{url.replace('secret', 'wrong')}&verify=no")
    finally:
        await server.stop()


async def test_a_password_is_not_sent_where_encryption_was_asked_for_and_is_missing(smtp: SmtpServer):
    with pytest.raises(Unreachable):
        await send(f"smtp://anna:secret@127.0.0.1:{smtp.port}?starttls=required")
    assert smtp.sign_ins == []


async def test_an_address_in_letters_of_the_country_is_written_to(smtp: SmtpServer):
    await send(smtp.url, "олена@example.com")
    assert len(smtp.mails) == 1


@pytest.mark.parametrize("typed", ["ada@приклад.укр", "Ada@ПРИКЛАД.укр", "ada@xn--80aikifvh.xn--j1amh"])
async def test_a_domain_of_other_letters_needs_no_special_server(typed: str):
    """Whatever the buyer typed: the address is kept in the letters of the country, and travels in punycode."""
    kept = normalise_email(typed)
    assert kept == "ada@приклад.укр"
    server = SmtpServer(utf8=False)
    await server.start()
    try:
        await send(server.url, kept)
        with pytest.raises(Refused, match="such letters"):
            await send(server.url, "ада@приклад.укр")
    finally:
        await server.stop()
    (mail,) = server.mails
    assert server.recipients == ["ada@xn--80aikifvh.xn--j1amh"]
    assert mail["To"].addresses[0].addr_spec == "ada@xn--80aikifvh.xn--j1amh"


async def test_a_domain_that_cannot_exist_is_refused(smtp: SmtpServer):
    with pytest.raises(ValueError, match=r"IDNA|Codepoint"):
        compose(envelope(recipient="ada@\u2603\ufe0f.укр"), LETTER)


async def test_in_production_nothing_is_given_to_a_server_that_only_catches_mails(mail: MailCatcher):
    for real in (True, False):
        mailer = Mailer(Server.parse(mail.smtp_url), hello="footlights.example", real=real)
        sending = mailer.send(compose(envelope(), LETTER), SENDER, "olena@example.com")
        if real:
            with pytest.raises(Unreachable, match="delivers nothing"):
                await sending
        else:
            await sending
        await mailer.close()
    assert len(mail.to("olena@example.com")) == 1


async def test_answers_decide(smtp: SmtpServer):
    smtp.rcpt = ["450 busy", "554 blocked", "530 sign in first"]
    with pytest.raises(TryLater, match="450 busy"):
        await send(smtp.url)
    with pytest.raises(Refused, match="554 blocked"):
        await send(smtp.url)
    with pytest.raises(TryLater):
        await send(smtp.url)
    await smtp.stop()
    with pytest.raises(Unreachable):
        await send(smtp.url)


@pytest.fixture
def certificate(own_folder: Path) -> ssl.SSLContext:
    """Signed by nobody one trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (own_folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (own_folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_folder / "cert.pem", own_folder / "key.pem")
    return context
