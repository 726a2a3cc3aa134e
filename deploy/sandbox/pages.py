"""The hosted card page: plain HTML that needs no script. Answers: 303 to the shop when the money is there,
303 to the bank's question, 402 when a card was declined, 422 when it is no test card, 409 when nothing is to be paid.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs

from babel import Locale
from babel.numbers import parse_pattern
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploy.sandbox import payments
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.cards import BY_NAME, CARDS, NotATestCard, recognise
from deploy.sandbox.desk import AtDesk, Desk
from deploy.sandbox.payments import PAYABLE, Amount, Payment, Refused, Status
from deploy.sandbox.texts import ENGLISH, TEXTS, language_of

HERE = Path(__file__).parent
NOTIFICATIONS = {
    "normal": Behaviour(),
    "twice": Behaviour(duplicate=1),
    "late": Behaviour(delay_seconds=15),
    "reordered": Behaviour(reorder=1),
    "lost": Behaviour(lose=1),
}
LARGEST_FORM = 4096
DIGITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
"""Of minor units by ISO 4217, where they are not two."""

templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined)
router = APIRouter(include_in_schema=False)


def format_amount(amount: Amount, language: str) -> str:
    digits = DIGITS.get(amount.currency, 2)
    pattern = parse_pattern(Locale(language).currency_formats["standard"].pattern)
    pattern.frac_prec = (digits, digits)
    value = Decimal(amount.minor).scaleb(-digits)
    shown: str = pattern.apply(value, Locale(language), currency=amount.currency, currency_digits=False)
    return shown


def page(name: str, payment: Payment, status: int = 200, **values: object) -> HTMLResponse:
    language = language_of(payment.locale)
    body = templates.get_template(name).render(
        t=TEXTS[language], language=language, payment=payment, amount=format_amount(payment.amount, language), **values
    )
    return HTMLResponse(body, status)


def card_page(payment: Payment, error: str = "", status: int = 200) -> HTMLResponse:
    text = TEXTS[language_of(payment.locale)]
    return page(
        "card.html",
        payment,
        status,
        cards=CARDS,
        notifications=NOTIFICATIONS,
        error=text[f"error_{error}"] if error else "",
    )


def state_page(payment: Payment, status: int = 200) -> HTMLResponse:
    return page("state.html", payment, status, message=TEXTS[language_of(payment.locale)][f"state_{payment.status}"])


def missing_page() -> HTMLResponse:
    body = templates.get_template("state.html").render(
        t=ENGLISH, language="en", payment=None, amount="", message=ENGLISH["not_found"]
    )
    return HTMLResponse(body, 404)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a small form; of a repeated field the last one counts, which is the button's."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise Refused("too_large", "the form is too large", 413)
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


@router.get("/pay/{payment_id}")
async def show_card_page(payment_id: str, desk: AtDesk) -> Response:
    try:
        payment = desk.current(payment_id)
    except Refused:
        return missing_page()
    if payment.status is Status.CONFIRMING:
        return page("confirm.html", payment)
    if payment.status not in PAYABLE:
        return state_page(payment)
    return card_page(payment, payment.reason)


@router.post("/pay/{payment_id}")
async def pay(payment_id: str, request: Request, desk: AtDesk) -> Response:
    """Form fields: `number` (or `card`, a test card's name), and `notification`, how the shop is to be told."""
    form = await form_of(request)
    try:
        payment = desk.current(payment_id)
    except Refused:
        return missing_page()
    try:
        card = BY_NAME[form["card"]] if form.get("card") in BY_NAME else recognise(form.get("number", ""))
    except NotATestCard as unknown:
        return card_page(payment, unknown.code, 422) if payment.status in PAYABLE else state_page(payment, 409)

    def command(payment: Payment, now: float) -> tuple[None, list[str]]:
        payment.behaviour = NOTIFICATIONS.get(form.get("notification", ""), payment.behaviour)
        return None, payments.pay(payment, card, desk.settings, now)

    return act(desk, payment_id, command)


@router.get("/pay/{payment_id}/confirm")
async def show_question(payment_id: str, desk: AtDesk) -> Response:
    return await show_card_page(payment_id, desk)


@router.post("/pay/{payment_id}/confirm")
async def answer_question(payment_id: str, request: Request, desk: AtDesk) -> Response:
    """Form field: `answer`, `approve` or `refuse`."""
    approved = (await form_of(request)).get("answer") == "approve"
    return act(desk, payment_id, lambda payment, now: (None, payments.confirm(payment, approved, desk.settings, now)))


@router.post("/pay/{payment_id}/cancel")
async def cancel(payment_id: str, desk: AtDesk) -> Response:
    return act(desk, payment_id, lambda payment, _now: (None, payments.cancel(payment)))


def act(desk: Desk, payment_id: str, command: Callable[[Payment, float], tuple[None, list[str]]]) -> Response:
    """What the browser sees after `command`."""
    try:
        payment, _ = desk.change(payment_id, command)
    except Refused as refused:
        return missing_page() if refused.status == 404 else state_page(desk.current(payment_id), 409)
    if payment.status is Status.CONFIRMING:
        return RedirectResponse(f"/pay/{payment.id}/confirm", 303)
    if payment.status is Status.FAILED:
        return card_page(payment, payment.reason, 402)
    return RedirectResponse(payment.return_url, 303)
