"""What orders has of a person. An order, its history and the ledger stay, without them."""

from __future__ import annotations

from chassis.persons import DELETE, Service, Trace

MINE = "order_id = ANY(:orders)"
NAMED = f"lower(participant_email) = ANY(:emails) OR ({MINE} AND participant_email IS NULL)"
IN_LINES = """
    EXISTS (SELECT FROM order_lines l WHERE l.order_id = order_history.order_id
            AND lower(l.participant_email) = ANY(:emails) AND position(l.id::text IN details::text) > 0)
"""
"""What was changed of a participant is told by the line."""
SAYS = "EXISTS (SELECT FROM unnest(:emails) AS email WHERE position(email IN lower({0})) > 0)"
PART_OF = "id IN (SELECT order_id FROM order_lines WHERE lower(participant_email) = ANY(:emails))"
FOR_OTHERS = """
    (SELECT coalesce(jsonb_agg(CASE WHEN document ->> 'recipient' = customer_name OR EXISTS (
         SELECT FROM order_lines l WHERE l.order_id = orders.id AND l.participant_name = document ->> 'recipient'
         AND NOT coalesce(lower(l.participant_email) = ANY(:emails), false)
     ) THEN document ELSE document || '{"recipient": ""}' END), '[]')
     FROM jsonb_array_elements(documents) AS document)
"""
CONTACT = "{0}_name = NULL, {0}_email = NULL, {0}_phone = NULL"

PERSONS = Service(
    find="""
        SELECT NULL AS email, CAST(NULL AS uuid) AS account_id, id AS order_id
        FROM orders WHERE lower(customer_email) = ANY(:emails)
        UNION SELECT NULL, NULL, id FROM orders WHERE account_id = ANY(:accounts) AND customer_email IS NULL
    """,
    waits="""
        SELECT format('order %s awaits payment', number) AS why, pay_by AS until
        FROM orders WHERE id = ANY(:orders) AND stage = 'awaiting_payment'
        UNION SELECT format('the show of order %s is to come', o.number), o.starts_at
        FROM orders o JOIN order_lines l ON l.order_id = o.id
        WHERE (o.id = ANY(:orders) OR lower(l.participant_email) = ANY(:emails))
          AND o.stage = 'paid' AND l.state = 'live' AND o.starts_at > now()
        UNION SELECT format('money of order %s must still go back', o.number), NULL
        FROM orders o WHERE o.id = ANY(:orders) AND (o.refund_due > 0
          OR EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.stage IN ('pending', 'refused')))
        UNION SELECT format('a payment of order %s is not over', o.number), p.due_at
        FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.id = ANY(:orders) AND p.due_at IS NOT NULL
    """,
    traces=(
        Trace("order_history", MINE, "details = '{}'", "at, what, details"),
        Trace("order_history", f"{IN_LINES} OR {SAYS.format('details::text')}", "details = '{}'"),
        Trace("undelivered", "order_id = ANY(:orders)", "reason = ''"),
        Trace("notes", MINE, DELETE, "text, created_at"),
        Trace("notes", SAYS.format("text"), DELETE),
        # Without the digest a job makes the text again, of what is left.
        Trace("searched", f"id = ANY(:orders) OR {PART_OF}", DELETE),
        Trace("orders", PART_OF, f"documents = {FOR_OTHERS}, searched_as = NULL"),
        Trace(
            "orders",
            "id = ANY(:orders)",
            f"{CONTACT.format('customer')}, customer_sort = '', searched_as = NULL, "
            "account_id = NULL, cancel_note = NULL, return_url = NULL, documents = '[]'",
            "number, created_at, stage, payment_status, title, total, paid, refunded, currency, locale, "
            "customer_name, customer_email, customer_phone, account_id, cancel_note",
        ),
        Trace("orders", "account_id = ANY(:accounts)", "account_id = NULL", "number, created_at, account_id"),
        Trace(
            "order_lines",
            NAMED,
            CONTACT.format("participant"),
            "title, ticket_number, total, participant_name, participant_email, participant_phone",
        ),
        Trace("order_history", "lower(actor) = ANY(:emails) OR actor = ANY(CAST(:accounts AS text[]))", "actor = ''"),
        Trace("notes", "lower(author) = ANY(:emails)", "author = ''"),
        Trace("orders", "lower(deleted_by) = ANY(:emails)", "deleted_by = ''"),
        Trace("saved_view", "lower(changed_by) = ANY(:emails)", "changed_by = ''"),
        Trace(
            "enrolments",
            f"{MINE} OR lower(student_email) = ANY(:emails)",
            "student_name = '', student_email = NULL, student_phone = NULL, access_url = '', access_token = NULL",
            "course, student_name, student_email, student_phone, group_name, created_at",
        ),
        Trace(
            "payments", MINE, "redirect_url = NULL, reason = NULL", "provider, reference, amount, currency, created_at"
        ),
        Trace("payment_events", MINE, "reason = NULL"),
        Trace("refunds", MINE, "reason = NULL", "amount, reason, created_at, done_at"),
        Trace("accounts", "id = ANY(:accounts) OR lower(email) = ANY(:emails)", DELETE, "id, email, name, phone"),
    ),
)
