"""What the two roles of a service may do with the chassis' own tables: the wall behind row-level security.

The api role writes to the outbox and cannot read it, sees the idempotency keys of its caller only, and has no business
with the rest. These statements can be repeated: migrations run them each time, and so does whoever grants rights on all
tables at once. They are plain SQL and import nothing, because `make up` needs them at every start.
"""

from __future__ import annotations

ROTATE = """
CREATE OR REPLACE FUNCTION footlights_rotate(keep interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hour timestamptz;
    name text;
BEGIN
    -- The relay calls this as the worker role, which may not create tables itself.
    FOR hour IN SELECT generate_series(date_trunc('hour', now()), date_trunc('hour', now()) + '2 hours', '1 hour') LOOP
        name := 'outbox_published_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF outbox_published FOR VALUES FROM (%L) TO (%L)',
                           name, hour, hour + interval '1 hour');
            EXECUTE format('REVOKE ALL ON %I FROM {service}_api', name);
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'outbox_published'::regclass
          AND c.relname < 'outbox_published_' || to_char((now() - keep) AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END $$
"""

# The owner in a scope (see chassis.idempotency) is the caller's organisation, else the account, else everybody.
RIGHTS = """
DO $$
DECLARE
    name text;
BEGIN
    IF to_regclass('outbox') IS NULL THEN
        RETURN;
    END IF;
    FOR name IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND (c.relname IN ('outbox', 'outbox_failed', 'inbox', 'alembic_version')
               OR c.relname LIKE 'outbox\\_published%')
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM {service}_api', name);
    END LOOP;
    GRANT INSERT ON outbox TO {service}_api;

    REVOKE DELETE ON idempotency_key FROM {service}_api;
    IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = 'idempotency_key'::regclass) THEN
        ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY;
        CREATE POLICY caller ON idempotency_key TO {service}_api USING (
            split_part(scope, ':', 1) = coalesce(
                nullif(current_setting('footlights.organisation', true), ''),
                nullif(current_setting('footlights.account', true), ''),
                'public'));
        CREATE POLICY worker ON idempotency_key TO {service}_worker USING (true) WITH CHECK (true);
    END IF;

    IF to_regprocedure('footlights_rotate(interval)') IS NOT NULL THEN
        REVOKE EXECUTE ON FUNCTION footlights_rotate(interval) FROM PUBLIC, {service}_api;
        GRANT EXECUTE ON FUNCTION footlights_rotate(interval) TO {service}_worker;
    END IF;
END $$
"""


def rotation(service: str) -> str:
    """Makes the function that keeps the partitions of published events."""
    return ROTATE.replace("{service}", service)


def rights(service: str) -> str:
    """Takes from the api role what it does not need. Does nothing in a database without our tables."""
    return RIGHTS.replace("{service}", service)
