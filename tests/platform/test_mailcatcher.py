"""The mail catcher: what is sent over SMTP can be read, downloaded and counted."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import aiohttp
import aiosmtplib
import pytest

from deploy.platform.mailcatcher import MailCatcher
from deploy.platform.mailpage import create
from tests.harness import serve


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Каса <desk@theatre.example>"
    message["To"] = "buyer@example.com"
    message["Subject"] = "Ваші квитки: ряд 5"
    message.set_content("Квиток у додатку.")
    message.add_alternative("<p>Квиток у <b>додатку</b>.</p><script>alert(1)</script>", subtype="html")
    message.add_attachment(b"%PDF-1.7 test", maintype="application", subtype="pdf", filename="квиток.pdf")
    return message


async def test_a_mail_arrives_whole(mail: MailCatcher):
    await aiosmtplib.send(letter(), hostname=mail.host, port=mail.port)
    (found,) = mail.to("Buyer@example.com")
    assert found.subject == "Ваші квитки: ряд 5"
    assert found.text.strip() == "Квиток у додатку."
    assert "<b>додатку</b>" in found.html
    (pdf,) = found.attachments
    assert (pdf.name, pdf.content_type, pdf.content) == ("квиток.pdf", "application/pdf", b"%PDF-1.7 test")


async def test_a_mail_that_is_sent_again_replaces_itself(own_folder: Path):
    catcher = MailCatcher(folder=own_folder)
    await catcher.start()
    again = letter()
    again["Message-ID"] = "<once@theatre.example>"
    for message in (again, again, letter(), letter()):
        await aiosmtplib.send(message, hostname=catcher.host, port=catcher.port)
    await catcher.stop()
    assert [mail.message_id for mail in catcher.messages] == ["<once@theatre.example>", "", ""]
    assert catcher.repeated == 1
    assert len(MailCatcher(folder=own_folder).messages) == 3


async def test_a_refusal_is_seen_by_the_sender_once(mail: MailCatcher):
    mail.refuse(1)
    with pytest.raises(aiosmtplib.SMTPResponseException):
        await aiosmtplib.send(letter(), hostname=mail.host, port=mail.port)
    await aiosmtplib.send(letter(), hostname=mail.host, port=mail.port, username="any", password="any")
    assert len(mail.messages) == 1


async def test_the_page_shows_mails_and_they_survive_a_restart(own_folder: Path):
    catcher = MailCatcher(folder=own_folder)
    async with serve(create(catcher)) as url, aiohttp.ClientSession(url) as client:
        await aiosmtplib.send(letter(), hostname=catcher.host, port=catcher.port)
        async with client.get("/") as page:
            assert "Ваші квитки: ряд 5" in await page.text()
        async with client.get("/messages", params={"to": "buyer@example.com"}) as answer:
            (item,) = (await answer.json())["items"]
        assert item["attachments"][0]["name"] == "квиток.pdf"
        for like, count in (("BUYER@", 1), ("example", 1), ("seller", 0)):
            async with client.get("/messages", params={"like": like}) as answer:
                assert len((await answer.json())["items"]) == count
        async with client.get(item["attachments"][0]["path"]) as file:
            assert await file.read() == b"%PDF-1.7 test"
        async with client.get(f"/mails/{item['id']}") as page:
            assert "buyer@example.com" in await page.text()
        async with client.get(f"/mails/{item['id']}/html") as page:
            assert "sandbox" in page.headers["Content-Security-Policy"]
        async with client.get("/mails/unknown") as missing:
            assert missing.status == 404
    assert [each.subject for each in MailCatcher(folder=own_folder).messages] == ["Ваші квитки: ряд 5"]


async def test_the_first_page_shows_the_newest_of_very_many(own_folder: Path, monkeypatch):
    monkeypatch.setattr("deploy.platform.mailpage.SHOWN", 2)
    catcher = MailCatcher(folder=own_folder)
    async with serve(create(catcher)) as url, aiohttp.ClientSession(url) as client:
        for number in range(3):
            message = letter()
            message.replace_header("Subject", f"Letter {number}")
            await aiosmtplib.send(message, hostname=catcher.host, port=catcher.port)
        async with client.get("/") as page:
            shown = await page.text()
    assert "The newest 2 of 3." in shown
    assert "Letter 0" not in shown
    assert shown.index("Letter 2") < shown.index("Letter 1")
