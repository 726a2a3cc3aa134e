"""What CRM has of a person. A customer stays as the owner of its orders, without anything that says who it was."""

from __future__ import annotations

from chassis.persons import DELETE, Service, Trace

KNOWN = """
    SELECT coalesce(c.survivor_id, c.id) FROM alias a JOIN customer c ON c.id = a.customer_id
    WHERE (a.kind = 'email' AND a.value = ANY(:emails))
       OR (a.kind = 'account' AND a.value = ANY(CAST(:accounts AS text[])))
    UNION SELECT coalesce(c.survivor_id, c.id) FROM customer_order o JOIN customer c ON c.id = o.customer_id
    WHERE o.order_id = ANY(:orders)
"""
MINE = f"SELECT id FROM customer WHERE coalesce(survivor_id, id) IN ({KNOWN})"
"""With all who were merged with them."""
THEIRS = f"customer_id IN ({MINE})"

PERSONS = Service(
    find=f"""
        SELECT value AS email, CAST(NULL AS uuid) AS account_id, CAST(NULL AS uuid) AS order_id
        FROM alias WHERE {THEIRS} AND kind = 'email'
        UNION SELECT NULL, NULL, order_id FROM customer_order WHERE {THEIRS}
    """,
    traces=(
        Trace("overlap", f"{THEIRS} OR other_id IN ({MINE}) OR order_id = ANY(:orders)", DELETE),
        Trace(
            "customer",
            f"id IN ({MINE})",
            "name = '', date_of_birth = NULL, locality = NULL, address = NULL, blacklisted = false, "
            "blacklist_reason = NULL, blacklisted_by = NULL, blacklisted_at = NULL, account_id = NULL, "
            "registered_name = NULL, registered_email = NULL, registered_phone = NULL, version = version + 1",
            "id, name, date_of_birth, locality, address, blacklisted, blacklist_reason, registered_name, "
            "registered_email, registered_phone, created_at",
        ),
        Trace(
            "customer_order",
            "order_id = ANY(:orders)",
            "typed_name = '', typed_email = NULL, typed_phone = NULL, account_id = NULL, by_staff = true",
            "number, title, created_at, typed_name, typed_email, typed_phone",
        ),
        Trace("customer_order", "account_id = ANY(:accounts)", "account_id = NULL"),
        Trace("customer", "lower(blacklisted_by) = ANY(:emails)", "blacklisted_by = ''"),
        Trace("customer", "lower(merged_by) = ANY(:emails)", "merged_by = ''"),
        Trace("alias", f"{THEIRS} AND kind <> 'order'", DELETE, "kind, raw, created_at"),
        Trace("account", "account_id = ANY(:accounts) OR email_key = ANY(:emails)", DELETE, "email, name, phone"),
    ),
)
