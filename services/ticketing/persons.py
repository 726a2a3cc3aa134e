"""What ticketing has of a person. A ticket stays as a sold seat, without its holder."""

from __future__ import annotations

from chassis.persons import DELETE, Service, Trace

PERSONS = Service(
    traces=(
        Trace(
            "ticket",
            "lower(holder_email) = ANY(:emails) OR (order_id = ANY(:orders) AND holder_email IS NULL)",
            "holder_name = '', holder_email = NULL, holder_phone = NULL",
            "number, label, zone_name, price_minor, currency, holder_name, holder_email, holder_phone, "
            "issued_at, voided_at",
        ),
        Trace(
            "document",
            "lower(email) = ANY(:emails) OR (order_id = ANY(:orders) AND email IS NULL)",
            "name = '', email = NULL, phone = NULL",
            "name, email, phone, created_at",
        ),
        Trace("hold", "account_id = ANY(:accounts)", "account_id = NULL", "placed_at, seats, places"),
        Trace(
            "hold",
            "id IN (SELECT id FROM order_record WHERE order_id = ANY(:orders)) AND coalesce(name, note) IS NOT NULL",
            "name = NULL, note = NULL",
            "name, note",
        ),
        Trace("person", "account_id = ANY(:accounts) OR lower(email) = ANY(:emails)", DELETE, "email, name, phone"),
    ),
)
