"""The statements of the hot path, as text. A test checks them against the mapped tables.

`TAKE_SEATS` takes the seats of many holds at once, all seats of a hold or none, and writes their events. What keeps two
buyers apart is the primary key of `held_seat`: a seat without a row is free, and no row is overwritten, whatever its
time, because its order may be one that we have not heard of. If another process wins a seat between the check and the
insert, the statement divides by zero: nothing of it happens, and it is run again.

Seats are written in key order, so two of these never wait for each other in a circle; rows that are taken are only
read, never waited for. The share lock makes stopping a sale wait for the holds being taken, and those that come after
see that it is stopped. A show that somebody is changing is left out, and its holds are asked for again: the other
shows of the batch do not wait for it.

Places of an area are counted in its row, which is locked for the batch and written once, whatever the number of holds;
an area that somebody else is counting at this moment is left out like a show that is being changed. Who does not fit
behind those of the same batch may fit when one of them is refused: the lane asks again.

Seats that a buyer, or a network, holds already are counted from the holds themselves, with those that the same batch
asks for before, so all processes share the limits. What two processes take in the same instant is not seen by either:
a limit may be passed once, by one batch.
"""

from __future__ import annotations

BETWEEN_SEATS = "\x1f"
BETWEEN_HOLDS = "\x1e"
"""Neither seat ids nor JSON contain control characters."""

LOST_RACE = "22012"
"""SQLSTATE division_by_zero."""

SESSION = """
SELECT set_config('enable_seqscan', 'off', false),
       set_config('jit', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('lock_timeout', '2s', false),
       set_config('statement_timeout', '5s', false),
       clock_timestamp()
"""
"""A plan made while the tables are small must still be right when they are not."""

TAKE_SEATS = """
WITH request AS MATERIALIZED (
    SELECT *
    FROM unnest(string_to_array($1, chr(30))::uuid[], string_to_array($2, chr(30))::uuid[],
                string_to_array($3, chr(30))::uuid[], string_to_array($4, chr(30))::bigint[],
                string_to_array($5, chr(30)), string_to_array($6, chr(30), '')::uuid[],
                string_to_array($7, chr(30)), string_to_array($8, chr(30)), string_to_array($9, chr(30)),
                $10::timestamptz[], $11::timestamptz[], string_to_array($13, chr(30), '')::uuid[],
                string_to_array($14, chr(30), ''), $17::bigint[], string_to_array($18, chr(30)),
                string_to_array($19, chr(30)), string_to_array($20, chr(30)), string_to_array($21, chr(30), ''),
                string_to_array($22, chr(30), ''), string_to_array($23, chr(30), '')::uuid[])
         WITH ORDINALITY AS request (hold_id, show_id, organisation, show_version, seats, account_id, terms, value,
                                     headers, expires_at, latest_at, buyer, network, units, asked, places, channel,
                                     name, note, clerk_id, n)
), wanted AS MATERIALIZED (
    SELECT request.n, request.show_id, seat.seat
    FROM request CROSS JOIN LATERAL string_to_table(request.seats, chr(31)) AS seat (seat)
), places AS MATERIALIZED (
    SELECT *
    FROM unnest($24::bigint[], $25::uuid[], $26::text[], $27::bigint[]) AS places (n, area_id, fare, quantity)
), holder AS MATERIALIZED (
    SELECT n, show_id, 'account' AS kind, buyer::text AS name, $15::bigint[] AS most, units AS seats
    FROM request WHERE buyer IS NOT NULL
    UNION ALL
    SELECT n, show_id, 'network', network, $16::bigint[], units
    FROM request WHERE network IS NOT NULL
), has AS MATERIALIZED (
    SELECT asking.kind, asking.name, held.show_id, held.seats
    FROM (SELECT DISTINCT kind, name FROM holder WHERE kind = 'account') AS asking
    CROSS JOIN LATERAL (
        SELECT hold.show_id, sum(hold.units) AS seats FROM hold
        WHERE hold.account_id = asking.name::uuid AND hold.status IN ('active', 'lapsed') GROUP BY hold.show_id
    ) AS held
    UNION ALL
    SELECT asking.kind, asking.name, held.show_id, held.seats
    FROM (SELECT DISTINCT kind, name FROM holder WHERE kind = 'network') AS asking
    CROSS JOIN LATERAL (
        SELECT hold.show_id, sum(hold.units) AS seats FROM hold
        WHERE hold.network = asking.name AND hold.status IN ('active', 'lapsed') GROUP BY hold.show_id
    ) AS held
), greedy AS MATERIALIZED (
    SELECT n, min(most) AS most
    FROM (
        SELECT holder.n, unnest(holder.most) AS most,
               unnest(ARRAY[
                   sum(holder.seats) OVER (PARTITION BY kind, name, show_id ORDER BY n)
                   + coalesce((SELECT sum(has.seats) FROM has WHERE has.kind = holder.kind AND has.name = holder.name
                                                                AND has.show_id = holder.show_id), 0),
                   sum(holder.seats) OVER (PARTITION BY kind, name ORDER BY n)
                   + coalesce((SELECT sum(has.seats) FROM has WHERE has.kind = holder.kind
                                                                AND has.name = holder.name), 0)
               ]) AS seats
        FROM holder
    ) AS counted
    WHERE most > 0 AND seats > most
    GROUP BY n
), open_show AS MATERIALIZED (
    SELECT id, organisation, status, starts_at, version FROM show WHERE id = ANY($12::uuid[]) ORDER BY id
    FOR SHARE SKIP LOCKED
), known AS MATERIALIZED (
    SELECT id FROM hold WHERE id = ANY(string_to_array($1, chr(30))::uuid[])
), blocked AS MATERIALIZED (
    SELECT wanted.n, array_agg(wanted.seat ORDER BY wanted.seat) AS seats
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT FROM held_seat
        WHERE held_seat.show_id = wanted.show_id AND held_seat.seat = wanted.seat
        OFFSET 0
    ) AS held
    GROUP BY wanted.n
), counter AS MATERIALIZED (
    SELECT id, capacity - taken AS rest FROM area WHERE id = ANY($25::uuid[]) ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
), counting AS MATERIALIZED (
    SELECT DISTINCT places.n FROM places WHERE NOT EXISTS (SELECT FROM counter WHERE counter.id = places.area_id)
), weighed AS MATERIALIZED (
    SELECT request.*,
           CASE WHEN known.id IS NOT NULL THEN 'known'
                WHEN open_show.id IS NULL THEN 'changing'
                WHEN open_show.organisation <> request.organisation
                     OR open_show.status <> 'on_sale' OR open_show.starts_at <= clock_timestamp() THEN 'closed'
                WHEN open_show.version <> request.show_version THEN 'stale'
                WHEN counting.n IS NOT NULL THEN 'changing'
                WHEN greedy.n IS NOT NULL THEN 'greedy'
                WHEN blocked.n IS NOT NULL THEN 'taken'
                ELSE 'granted' END AS verdict,
           blocked.seats AS lost, greedy.most
    FROM request
    LEFT JOIN open_show ON open_show.id = request.show_id
    LEFT JOIN known ON known.id = request.hold_id
    LEFT JOIN blocked ON blocked.n = request.n
    LEFT JOIN greedy ON greedy.n = request.n
    LEFT JOIN counting ON counting.n = request.n
), fitting AS MATERIALIZED (
    SELECT places.n, counter.id, counter.rest,
           sum(places.quantity) OVER (PARTITION BY counter.id ORDER BY places.n, places.fare) <= counter.rest AS fits
    FROM places JOIN weighed USING (n) JOIN counter ON counter.id = places.area_id
    WHERE weighed.verdict = 'granted'
), short AS MATERIALIZED (
    SELECT n, array_agg(id) AS areas, array_agg(rest) AS rests FROM fitting GROUP BY n HAVING NOT bool_and(fits)
), judged AS MATERIALIZED (
    SELECT weighed.n, weighed.hold_id, weighed.show_id, weighed.organisation, weighed.seats, weighed.account_id,
           weighed.terms, weighed.value, weighed.headers, weighed.expires_at, weighed.latest_at, weighed.network,
           weighed.units, weighed.asked, weighed.places, weighed.channel, weighed.name, weighed.note, weighed.clerk_id,
           weighed.lost, weighed.most, short.areas, short.rests,
           CASE WHEN short.n IS NULL THEN weighed.verdict ELSE 'short' END AS verdict
    FROM weighed LEFT JOIN short USING (n)
), taken AS (
    INSERT INTO held_seat (show_id, seat, organisation, hold_id, until)
    SELECT wanted.show_id, wanted.seat, judged.organisation, judged.hold_id, judged.expires_at
    FROM wanted JOIN judged USING (n)
    WHERE judged.verdict = 'granted'
    ORDER BY wanted.show_id, wanted.seat
    ON CONFLICT (show_id, seat) DO NOTHING
    RETURNING 1
), placed AS (
    INSERT INTO hold (id, organisation, show_id, seats, terms, placed_at, expires_at, latest_at, account_id,
                      network, places, units, asked, channel, name, note, clerk_id)
    SELECT hold_id, organisation, show_id, coalesce(string_to_array(seats, chr(31)), '{}'), terms::json,
           clock_timestamp(), expires_at, latest_at, account_id, network, places::json, units, asked, channel, name,
           note, clerk_id
    FROM judged WHERE verdict = 'granted' ORDER BY n
), counted AS (
    UPDATE area SET taken = area.taken + more.quantity
    FROM (
        SELECT places.area_id, sum(places.quantity)::bigint AS quantity
        FROM places JOIN judged USING (n) WHERE judged.verdict = 'granted' GROUP BY places.area_id
    ) AS more
    WHERE area.id = more.area_id
), kept AS (
    INSERT INTO held_place (hold_id, area_id, fare, organisation, show_id, quantity, until)
    SELECT judged.hold_id, places.area_id, places.fare, judged.organisation, judged.show_id, places.quantity,
           judged.expires_at
    FROM places JOIN judged USING (n) WHERE judged.verdict = 'granted' ORDER BY places.n
), published AS (
    INSERT INTO outbox (topic, key, value, headers)
    SELECT 'ticketing.hold', convert_to(hold_id::text, 'UTF8'), convert_to(value, 'UTF8'), headers::json
    FROM judged WHERE verdict = 'granted' ORDER BY n
)
SELECT judged.n, judged.verdict, judged.lost, judged.most, judged.areas, judged.rests, clock_timestamp() AS now,
       1 / ((SELECT count(*) FROM taken)
            = (SELECT count(*) FROM wanted JOIN judged AS mine USING (n) WHERE mine.verdict = 'granted'))::int AS whole
FROM judged ORDER BY judged.n
"""

FIND_HOLDS = """
SELECT id, show_id, terms, places, asked, channel, status, account_id, network, expires_at,
       expires_at <= clock_timestamp() AS expired
FROM hold WHERE id = ANY($1::uuid[])
"""
"""For requests that repeat a hold, and for those whose outcome is not known."""
