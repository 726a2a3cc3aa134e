"""The page of an order for a buyer who opens the signed link in a browser."""

from __future__ import annotations

from jinja2 import Environment

from chassis import wall_clock
from chassis.money import show
from services.orders.order import links
from services.orders.order.tables import Order
from services.orders.process.state import LineState

WORDS = {
    "en": {
        "order": "Order", "total": "Total", "pay": "Pay by card", "tickets": "Tickets for", "refunded": "Refunded",
        "interested": "Seats chosen", "awaiting_payment": "Awaiting payment", "paid": "Paid",
        "cancelled": "Cancelled", "back": "taken back", "pay_by": "Pay until",
    },
    "uk": {
        "order": "Замовлення", "total": "Разом", "pay": "Сплатити карткою", "tickets": "Квитки для",
        "refunded": "Повернено", "interested": "Місця обрано", "awaiting_payment": "Очікує оплату",
        "paid": "Оплачено", "cancelled": "Скасовано", "back": "повернено", "pay_by": "Сплатіть до",
    },
    "pl": {
        "order": "Zamówienie", "total": "Razem", "pay": "Zapłać kartą", "tickets": "Bilety dla",
        "refunded": "Zwrócono", "interested": "Wybrano miejsca", "awaiting_payment": "Oczekuje na płatność",
        "paid": "Opłacone", "cancelled": "Anulowane", "back": "zwrócone", "pay_by": "Zapłać do",
    },
    "ru": {
        "order": "Заказ", "total": "Итого", "pay": "Оплатить картой", "tickets": "Билеты для",
        "refunded": "Возвращено", "interested": "Места выбраны", "awaiting_payment": "Ожидает оплаты",
        "paid": "Оплачен", "cancelled": "Отменён", "back": "возвращено", "pay_by": "Оплатите до",
    },
}  # fmt: skip

TEMPLATE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="{{ locale }}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">
<title>{{ words.order }} {{ order.number }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
table { width: 100%; border-collapse: collapse; } td { padding: .3rem 0; border-bottom: 1px solid #ddd; }
td:last-child { text-align: right; } .gone { text-decoration: line-through; color: #666; }
.status { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; background: #eee; }
.paid { background: #d4f0d4; } .awaiting_payment { background: #ffe3b8; }
.button { display: inline-block; padding: .6rem 1.2rem; background: #14532d; color: #fff; text-decoration: none; }
</style>
</head>
<body>
<h1>{{ words.order }} {{ order.number }}</h1>
<p><strong>{{ order.title }}</strong>{% if starts_at %} · <time>{{ starts_at }}</time>{% endif %}</p>
<p><span class="status {{ order.stage }}">{{ status }}</span></p>
<table>
{% for line in lines %}
<tr class="{{ 'gone' if line.gone }}"><td>{{ line.title }}{% if line.who %}<br><small>{{ line.who }}</small>{% endif %}
{% if line.gone %}<small>({{ words.back }})</small>{% endif %}</td><td>{{ line.total }}</td></tr>
{% endfor %}
<tr><td><strong>{{ words.total }}</strong></td><td><strong>{{ total }}</strong></td></tr>
{% if refunded %}<tr><td>{{ words.refunded }}</td><td>{{ refunded }}</td></tr>{% endif %}
</table>
{% if pay_url %}
<p>{{ words.pay_by }} <time>{{ pay_by }}</time></p>
<p><a class="button" href="{{ pay_url }}">{{ words.pay }}</a></p>
{% endif %}
{% for document in documents %}
<p><a href="{{ document.url }}">{{ words.tickets }} {{ document.recipient }}</a></p>
{% endfor %}
</body>
</html>
""")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The key is in the address: nothing on the page may carry it elsewhere."""


def order_page(order: Order, key: str, time_zone: str) -> str:
    words = WORDS.get(order.locale, WORDS["en"])
    stage = order.stage or "interested"
    payable = stage == "awaiting_payment" and order.payment_method == "card"
    return TEMPLATE.render(
        order=order,
        words=words,
        locale=order.locale,
        status=words.get(stage, stage),
        starts_at=order.starts_at and wall_clock.show(order.starts_at, time_zone, order.locale),
        pay_by=order.pay_by and wall_clock.show(order.pay_by, time_zone, order.locale),
        lines=[
            {
                "title": line.title,
                "who": line.participant_name,
                "total": show(order.money(line.total), order.locale),
                "gone": line.state == LineState.GONE,
            }
            for line in order.lines
        ],
        total=show(order.money(order.total), order.locale),
        refunded=show(order.money(order.refunded), order.locale) if order.refunded else None,
        pay_url=links.public(f"/orders/{order.id}/pay?key={key}") if payable else None,
        documents=order.documents if order.is_paid else [],
    )
