"""What notifications has of a person: that a message was sent stays, for it keeps it from going out twice."""

from __future__ import annotations

from chassis.persons import DELETE, Service, Trace

MINE = "(lower(recipient) = ANY(:emails) OR (order_id = ANY(:orders) AND channel = 'sms' AND recipient_key <> 'staff'))"
THEIR_MESSAGES = f"SELECT message_id FROM message WHERE {MINE}"
THEIR_DOCUMENTS = f"SELECT unnest(documents) FROM message WHERE {MINE}"
TAKES_PART = """
    EXISTS (SELECT FROM jsonb_array_elements(state -> 'lines') AS line
            WHERE lower(line #>> '{participant,email}') = ANY(:emails))
"""
WHERE_THEY_TAKE_PART = f"order_id IN (SELECT order_id FROM known_order WHERE {TAKES_PART})"
LINES = """
    (SELECT coalesce(jsonb_agg(CASE WHEN {0} THEN line || '{{"participant": null}}' ELSE line END), '[]')
     FROM jsonb_array_elements(state -> 'lines') AS line)
"""
UNNAMED = LINES.format("line #>> '{participant,email}' IS NULL")
THEIR_LINES = LINES.format("lower(line #>> '{participant,email}') = ANY(:emails)")

PERSONS = Service(
    traces=(
        Trace("suppression", "address = ANY(:emails)", DELETE, "address, reason, since"),
        Trace("attempt", f"message_id IN ({THEIR_MESSAGES})", "detail = NULL"),
        Trace("known_document", f"order_id = ANY(:orders) OR url IN ({THEIR_DOCUMENTS})", "holder = '', url = ''"),
        Trace(
            "message",
            MINE,
            "recipient = NULL, recipient_name = '', recipient_key = 'erased ' || message_id, params = '{}', "
            "documents = '{}', finished_at = coalesce(finished_at, now()), reason = NULL, "
            "status = CASE WHEN status IN ('pending', 'sending') THEN 'suppressed' ELSE status END",
            "template, channel, recipient, recipient_name, params, status, created_at, finished_at",
        ),
        # To staff and to others, about their orders and those they take part in.
        Trace("message", "order_id = ANY(:orders)", "params = '{}', documents = '{}'"),
        Trace(
            "message",
            f"status IN ('sent', 'failed', 'suppressed') AND {WHERE_THEY_TAKE_PART}",
            "params = '{}', documents = '{}'",
        ),
        Trace(
            "known_order",
            "order_id = ANY(:orders)",
            f"state = jsonb_set(state || '{{\"customer\": null, \"order_url\": null}}', '{{lines}}', {UNNAMED})",
        ),
        Trace("known_order", TAKES_PART, f"state = jsonb_set(state, '{{lines}}', {THEIR_LINES})"),
    ),
)
