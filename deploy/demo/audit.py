"""What every service knows of the show after the sale, and whether they agree to the cent and the seat."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.demo.client import Client
from deploy.demo.story import Story

Figures = dict[str, Any]


@dataclass(slots=True)
class Account:
    """What one service says, in words for a person."""

    service: str
    lines: list[str]


@dataclass(slots=True)
class Finding:
    """Two figures that must be the same."""

    what: str
    expected: object
    found: object

    @property
    def agrees(self) -> bool:
        return self.expected == self.found


@dataclass(slots=True)
class Audit:
    currency: str
    accounts: list[Account] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return all(finding.agrees for finding in self.findings)

    def same(self, what: str, expected: object, found: object) -> None:
        self.findings.append(Finding(what, expected, found))


async def audit(staff: Client, story: Story, currency: str, mails: str | None, patience: float = 120) -> Audit:
    """Asks every service until they agree, at most for `patience` seconds, and returns what they said last."""
    deadline = time.monotonic() + patience
    while True:
        result = await _ask(staff, story, currency, mails)
        if result.agrees or time.monotonic() > deadline:
            return result
        await asyncio.sleep(0.5)


async def _ask(staff: Client, story: Story, currency: str, mails: str | None) -> Audit:
    result = Audit(currency)
    rows = await staff.all_pages(f"/api/orders/orders?show_id={story.show_id}&all=true&limit=100")
    cards = [await staff.ask("GET", f"/api/orders/orders/{row['id']}") for row in rows]
    orders_account(result, story, cards)
    await _ledger(result, staff, cards)
    await _seats(result, staff, story, cards)
    await _messages(result, staff, cards, mails, story)
    await _customers(result, staff, story, cards)
    await _report(result, staff, story, cards)
    return result


def _live(card: Figures) -> list[Figures]:
    """Lines whose ticket is valid."""
    return [line for line in card["lines"] if line["state"] == "live" and line["ticket_number"]]


def _paid(cards: Sequence[Figures]) -> list[Figures]:
    return [card for card in cards if card["paid"]["minor"] > card["refunded"]["minor"]]


def _sum(cards: Sequence[Figures], name: str) -> int:
    return sum(card[name]["minor"] for card in cards)


def orders_account(result: Audit, story: Story, cards: Sequence[Figures]) -> None:
    stages, payments = Counter(c["stage"] for c in cards), Counter(c["payment_status"] for c in cards)
    held = sum(p["amount"]["minor"] for card in cards for p in card["payments"] if p["stage"] == "held")
    kept = _sum(cards, "paid") - _sum(cards, "refunded")
    result.accounts.append(
        Account(
            "orders",
            [
                f"{len(cards)} orders: {_words(stages)}",
                f"payments: {_words(payments)}",
                f"money held {_money(held, result)}, received {_money(_sum(cards, 'paid'), result)},"
                f" refunded {_money(_sum(cards, 'refunded'), result)}, kept {_money(kept, result)}",
            ],
        )
    )
    by_id = {card["id"]: card for card in cards}
    for purchase in story.purchases:
        card = by_id.get(str(purchase.order_id))
        if card is None:
            result.same(f"order of a buyer who {purchase.part}", "there", "missing")
            continue
        count = len(purchase.seats)
        expected = {
            "paid": {("paid", count)},
            "refunded": {("cancelled", 0)},
            "one seat refunded": {("paid", count - 1)},
            "late": {("paid", count), ("cancelled", 0)},
            "cancelled": {("cancelled", 0)},
            "expired": {("interested", 0), ("cancelled", 0)},
        }[purchase.outcome]
        found = (card["stage"], len(_live(card)))
        result.same(
            f"order {card['number']} of a buyer who {purchase.part}", found if found in expected else expected, found
        )
        value = sum(line["total"]["minor"] for line in _live(card))
        result.same(f"money kept for order {card['number']}", value, card["paid"]["minor"] - card["refunded"]["minor"])
    unasked = [by_id[str(hold.order_id)] for hold in story.doubtful if str(hold.order_id) in by_id]
    for card in unasked:
        result.same(f"live tickets of {card['number']}, whose buyer was refused", 0, len(_live(card)))
    result.same("money held when all tickets exist", 0, held)
    result.same("orders at ORDERS and purchases of the story", len(story.purchases) + len(unasked), len(cards))


async def _ledger(result: Audit, staff: Client, cards: Sequence[Figures]) -> None:
    ledger = await staff.ask("GET", "/api/orders/ledger")
    result.same("sum of the ledger", 0, ledger["sum"])
    totals = await staff.ask("GET", f"/api/orders/orders/totals?show_id={cards[0]['show_id']}&all=true")
    income = sum(amount["minor"] for amount in totals["income"])
    result.same("income of the orders' totals (ORD-14)", _sum(cards, "paid") - _sum(cards, "refunded"), income)


async def _seats(result: Audit, staff: Client, story: Story, cards: Sequence[Figures]) -> None:
    stats = await staff.ask("GET", f"/api/ticketing/shows/{story.show_id}/statistics")
    seats, tickets = stats["seats"], stats["tickets"]
    result.accounts.append(
        Account(
            "ticketing",
            [
                f"seats: {seats['free']} free, {seats['held']} held, {seats['sold']} sold of {seats['for_sale']}",
                f"tickets: {tickets['issued']} issued, {tickets['voided']} voided,"
                f" {story.refusals} holds refused because somebody was faster",
            ],
        )
    )
    live = [line["reference"] for card in cards for line in _live(card)]
    states = await staff.ask("GET", f"/api/ticketing/shows/{story.show_id}/seats")
    sold = sorted(seat for seat, state in states["seats"].items() if state == "sold")
    result.same("seats in two live orders at once", [], [seat for seat, n in Counter(live).items() if n > 1])
    result.same("seats sold on the map and in orders", sorted(live), sold)
    result.same("seats sold in the statistics", len(live), seats["sold"])
    result.same("seats still held", 0, seats["held"])
    result.same("live tickets", len(live), tickets["issued"] - tickets["voided"])
    kept = _sum(cards, "paid") - _sum(cards, "refunded")
    result.same("value of live tickets", kept, tickets["sold"]["minor"] - tickets["returned"]["minor"])


async def _messages(result: Audit, staff: Client, cards: Sequence[Figures], mails: str | None, story: Story) -> None:
    due: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    others: Counter[str] = Counter()
    in_haste = {str(purchase.order_id) for purchase in story.purchases if purchase.in_haste}
    for card in cards:
        messages = await staff.all_pages(f"/api/notifications/messages?order_id={card['id']}&limit=100")
        others.update(f"{m['template']} {m['status']}" for m in messages)
        sent.update(m["recipient"] for m in messages if m["template"] == "tickets_issued" and m["status"] == "sent")
        expected.update({line["participant"]["email"] for line in card["lines"] if line["ticket_number"]})
        for_sure = _live(card) if card["id"] in in_haste else [x for x in card["lines"] if x["ticket_number"]]
        due.update({line["participant"]["email"] for line in for_sure})
    result.accounts.append(Account("notifications", [f"messages: {_words(others)}"]))
    result.same("recipients still without their tickets", [], sorted((due - sent).elements()))
    result.same("recipients who got tickets twice, or somebody else's", [], sorted((sent - expected).elements()))
    if mails is None:
        return
    caught = await staff.ask("GET", f"{mails}/messages?like={story.run}")
    with_pdf = [mail for mail in caught["items"] if _has_pdf(mail)]
    result.accounts.append(Account("mail server", [f"{len(with_pdf)} mails with a PDF of tickets"]))
    result.same("mails with a PDF", sum(sent.values()), len(with_pdf))


def _has_pdf(mail: Mapping[str, Any]) -> bool:
    return any(attachment["content_type"] == "application/pdf" for attachment in mail["attachments"])


async def _customers(result: Audit, staff: Client, story: Story, cards: Sequence[Figures]) -> None:
    customers = await staff.all_pages(f"/api/crm/customers?search={story.run}&limit=100")
    orders = sum(customer["orders"] for customer in customers)
    result.accounts.append(Account("crm", [f"{len(customers)} customers with {orders} orders"]))
    placed = [card for card in cards if card["customer"]]
    result.same("customers", len({card["customer"]["email"] for card in placed}), len(customers))
    result.same("orders of the customers", len(placed), orders)


async def _report(result: Audit, staff: Client, story: Story, cards: Sequence[Figures]) -> None:
    totals = await staff.ask("GET", f"/api/reporting/shows/{story.show_id}/totals")
    money = {name: sum(amount["minor"] for amount in totals[name]) for name in ("received", "refunded", "income")}
    result.accounts.append(
        Account(
            "reporting",
            [
                f"{totals['orders']} orders, {totals['paid']} paid, {totals['new_unpaid']} new and unpaid",
                ", ".join(f"{name} {_money(minor, result)}" for name, minor in money.items()),
                f"tickets: {totals['tickets']['issued']} issued, {totals['tickets']['voided']} voided",
            ],
        )
    )
    result.same("orders in the report", len(cards), totals["orders"])
    result.same("paid orders in the report", len(_paid(cards)), totals["paid"])
    result.same("money received in the report", _sum(cards, "paid"), money["received"])
    result.same("money refunded in the report", _sum(cards, "refunded"), money["refunded"])
    result.same("tickets in the report", sum(len(_live(card)) for card in cards), totals["tickets"]["valid"])


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))


def _money(minor: int, result: Audit) -> str:
    return f"{minor / 100:,.2f} {result.currency}"
