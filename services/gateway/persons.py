"""What the gateway has of a person: an account, with what hangs on it."""

from __future__ import annotations

from chassis.persons import DELETE, Service, Trace

ACCOUNT = "id = ANY(:accounts) OR email_key = ANY(:emails)"
HERS = f"account_id IN (SELECT id FROM account WHERE {ACCOUNT})"

PERSONS = Service(
    find=f"SELECT email_key AS email, id AS account_id, CAST(NULL AS uuid) AS order_id FROM account WHERE {ACCOUNT}",
    waits=f"""
        SELECT format('the account works for %s: take its roles away', o.name) AS why,
               CAST(NULL AS timestamptz) AS until
        FROM membership m JOIN organisation o ON o.id = m.organisation WHERE m.{HERS}
    """,
    traces=(
        Trace("sign_in_session", HERS, DELETE, "client, created_at, used_at"),
        Trace("api_key", HERS, DELETE, "name, hint, created_at, used_at"),
        Trace("letter", "lower(email) = ANY(:emails)", DELETE, "email, created_at, used_at"),
        Trace("account", ACCOUNT, DELETE, "id, email, name, phone, locale, created_at"),
    ),
)
