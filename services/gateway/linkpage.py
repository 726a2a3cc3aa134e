"""The page behind a mailed link, in the language of the letter, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

from chassis.letters import PAGE
from chassis.problems import Problem
from services.gateway.passwords import LONGEST, SHORTEST

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
WORDS = {
    "en": {
        "open": "Open your account",
        "enter": "Sign in",
        "name": "Name",
        "phone": "Phone with country code (optional)",
        "password": "New password (optional: a link by e-mail will always do)",
        "done": "You are signed in as {}. You may close this page.",
    },
    "uk": {
        "open": "Створити обліковий запис",
        "enter": "Увійти",
        "name": "Ім’я та прізвище",
        "phone": "Телефон із кодом країни (необов’язково)",
        "password": "Новий пароль (необов’язково: завжди можна ввійти за посиланням із листа)",
        "done": "Ви ввійшли як {}. Цю сторінку можна закрити.",
    },
    "pl": {
        "open": "Załóż konto",
        "enter": "Zaloguj się",
        "name": "Imię i nazwisko",
        "phone": "Telefon z kodem kraju (opcjonalnie)",
        "password": "Nowe hasło (opcjonalnie: zawsze wystarczy link z e-maila)",
        "done": "Zalogowano jako {}. Możesz zamknąć tę stronę.",
    },
    "ru": {
        "open": "Создать учётную запись",
        "enter": "Войти",
        "name": "Имя и фамилия",
        "phone": "Телефон с кодом страны (необязательно)",
        "password": "Новый пароль (необязательно: всегда можно войти по ссылке из письма)",
        "done": "Вы вошли как {}. Эту страницу можно закрыть.",
    },
}
FRAME = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>Footlights</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<style>
body {{ font: 17px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 4rem auto; padding: 0 1rem; }}
label, button {{ display: block; margin: 1rem 0; }} input {{ font: inherit; width: 100%; box-sizing: border-box; }}
button {{ font: inherit; padding: .5rem 1rem; }} :root {{ color-scheme: light dark; }}
</style></head><body>{body}</body></html>"""


@dataclass(frozen=True, slots=True)
class Form:
    """What the page asks of the reader of a letter; `why` says what was wrong with the answer before."""

    email: str
    locale: str
    token: str
    known: bool
    why: str = ""


def show(form: Form) -> HTMLResponse:
    """The button, and what somebody says of themselves who has no account yet."""
    words = WORDS.get(form.locale, WORDS["en"])
    title = words["enter" if form.known else "open"]
    person = (
        ""
        if form.known
        else f'<label>{words["name"]}<input name="name" required maxlength="200" autocomplete="name"></label>'
        f'<label>{words["phone"]}<input name="phone" type="tel" maxlength="40" autocomplete="tel"></label>'
    )
    body = (
        f"<h1>{title}</h1><p>{escape(form.email)}</p>"
        + (f'<p role="alert">{escape(form.why)}</p>' if form.why else "")
        + f'<form method="post" action="{PAGE}"><input type="hidden" name="token" value="{escape(form.token)}">{person}'
        f'<label>{words["password"]}<input name="password" type="password" minlength="{SHORTEST}"'
        f' maxlength="{LONGEST}" autocomplete="new-password"></label><button>{title}</button></form>'
    )
    return _page(form.locale, body, 422 if form.why else 200)


def done(locale: str, name: str) -> HTMLResponse:
    words = WORDS.get(locale, WORDS["en"])
    return _page(locale, f"<p>{escape(words['done'].format(name))}</p>", 200)


def over(problem: Problem) -> HTMLResponse:
    return _page("en", f"<h1>{escape(problem.title)}</h1><p>{escape(problem.detail)}</p>", problem.status)


def _page(locale: str, body: str, status: int) -> HTMLResponse:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    language = locale if locale in WORDS else "en"
    return HTMLResponse(FRAME.format(language=language, body=body), status, headers=headers)
