"""What the two roles of a service may do with the chassis' own tables: the wall behind row-level security.

The api role writes to the outbox and cannot read it, sees the idempotency keys of its caller only, and has no business
with the rest. These statements can be repeated: migrations run them each time, and so does whoever grants rights on all
tables at once. They are plain SQL and import nothing, because `make up` needs them at every start.
"""

from __future__ import annotations

# A partition is made beside the table and attached, which waits for no reader; to make it in place, or to drop it, one
# must have the table alone. So a reader as long as a backup only puts off the dropping, and writers that come behind an
# attempt to drop wait for a tenth of a second.
ROTATE = """
CREATE OR REPLACE FUNCTION footlights_rotate(keep interval, ahead interval DEFAULT '24 hours') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hour timestamptz;
    name text;
    now_hour text := 'outbox_published_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
BEGIN
    -- The relay calls this as the worker role, which may not create tables itself.
    FOR hour IN SELECT generate_series(date_trunc('hour', now()), now() + ahead, '1 hour') LOOP
        name := 'outbox_published_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE outbox_published INCLUDING ALL)', name);
            EXECUTE format('REVOKE ALL ON %I FROM {service}_api', name);
            EXECUTE format('ALTER TABLE outbox_published ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           name, hour, hour + interval '1 hour');
        END IF;
    END LOOP;
    PERFORM set_config('lock_timeout', '100ms', true);
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'outbox_published'::regclass
          AND c.relname < 'outbox_published_' || to_char((now() - keep) AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
        ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', name);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            EXIT;
        END;
    END LOOP;
    RETURN (SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'outbox_published'::regclass AND c.relname > now_hour);
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
          AND (c.relname IN ('outbox', 'outbox_failed', 'inbox', 'forgotten', 'lease', 'parked', 'resumption')
               OR c.relname = 'alembic_version'
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

    IF to_regprocedure('footlights_rotate(interval, interval)') IS NOT NULL THEN
        REVOKE EXECUTE ON FUNCTION footlights_rotate(interval, interval) FROM PUBLIC, {service}_api;
        GRANT EXECUTE ON FUNCTION footlights_rotate(interval, interval) TO {service}_worker;
    END IF;
END $$
"""

# A view is made again only if its table has other columns, so that readers need not wait for the lock.
SEEN = """
DO $$
DECLARE
    name text;
    columns text;
BEGIN
    CREATE SCHEMA IF NOT EXISTS seen;
    GRANT USAGE ON SCHEMA seen TO {service}_api;
    FOR name, columns IN
        SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relrowsecurity
        GROUP BY c.oid, c.relname HAVING bool_or(a.attname = 'organisation')
    LOOP
        CONTINUE WHEN columns = (
            SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = to_regclass('seen.' || quote_ident(name)) AND attnum > 0);
        EXECUTE format('DROP VIEW IF EXISTS seen.%I', name);
        EXECUTE format('CREATE VIEW seen.%I AS SELECT %s FROM public.%I WHERE organisation = '
                       '(SELECT nullif(current_setting(''footlights.organisation'', true), '''')::uuid)',
                       name, columns, name);
        EXECUTE format('GRANT SELECT ON seen.%I TO {service}_api', name);
    END LOOP;
END $$
"""


def rotation(service: str) -> tuple[str, ...]:
    """Statements that make the function which keeps the partitions of published events: it returns for how many hours
    beyond this one there are any. An older form of it goes, because both would be meant by one argument."""
    return "DROP FUNCTION IF EXISTS footlights_rotate(interval)", ROTATE.replace("{service}", service)


def rights(service: str) -> str:
    """Takes from the api role what it does not need. Does nothing in a database without our tables."""
    return RIGHTS.replace("{service}", service)


def views(service: str) -> str:
    """Makes a view of the caller's rows for every table that belongs to organisations (see `chassis.db.SEEN`)."""
    return SEEN.replace("{service}", service)
