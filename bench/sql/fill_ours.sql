-- One batch of this project's tasks with their chained events, outbox rows and audit entries, from the temporary table
-- `shape` of bench/ours_fill.py: for each class of numbers what the services would have written, as format() templates.
-- Arguments of every template: 1 previous hash, 2 event id, 3 digest of the snapshot (in `task`: the last hash),
-- 4 task id, 5 the number, 6 and 7 the ids of the ad server, 8 and on: moments.
WITH staged AS MATERIALIZED (
SELECT h.*, encode(sha256(convert_to(format(links[4], VARIADIC ARRAY[h3, ids[4], encode(sha256(s4), 'hex')] || args), 'UTF8')), 'hex') AS h4
FROM (
    SELECT h.*, encode(sha256(convert_to(format(links[3], VARIADIC ARRAY[h2, ids[3], encode(sha256(s3), 'hex')] || args), 'UTF8')), 'hex') AS h3
    FROM (
        SELECT h.*, encode(sha256(convert_to(format(links[2], VARIADIC ARRAY[h1, ids[2], encode(sha256(s2), 'hex')] || args), 'UTF8')), 'hex') AS h2
        FROM (
            SELECT h.*, encode(sha256(convert_to(format(links[1], VARIADIC ARRAY['', ids[1], encode(sha256(s1), 'hex')] || args), 'UTF8')), 'hex') AS h1
            FROM (
                SELECT a.*,
                       convert_to(format(snapshots[1], VARIADIC ARRAY['', '', ''] || args), 'UTF8') AS s1,
                       convert_to(format(snapshots[2], VARIADIC ARRAY['', '', ''] || args), 'UTF8') AS s2,
                       convert_to(format(snapshots[3], VARIADIC ARRAY['', '', ''] || args), 'UTF8') AS s3,
                       convert_to(format(snapshots[4], VARIADIC ARRAY['', '', ''] || args), 'UTF8') AS s4
                FROM (
                    SELECT shape.*, n, created_at, ids,
                           %(position)s + (n - %(first)s) / %(classes)s * events_of_all + events_before AS position,
                           ARRAY[task_id, n::text, (5550000000 + n)::text, (2230000000 + n)::text] || moments AS args
                    FROM (
                        SELECT n, to_timestamp(%(oldest)s + %(span)s * ((n - %(first)s) / %(total)s::float8)) AS created_at
                        FROM generate_series(%(begin)s, %(end)s) AS n
                    ) AS numbered
                    JOIN shape ON class = mod(n, %(classes)s)
                    CROSS JOIN LATERAL (SELECT lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') AS stamp,
                                               md5(n::text) AS chance) AS parts
                    CROSS JOIN LATERAL (SELECT
                        'task_' || stamp || '7' || substr(chance, 1, 3) || '8' || substr(chance, 4, 15) AS task_id,
                        ARRAY(SELECT 'evt_' || lpad(to_hex((extract(epoch FROM created_at) * 1000 + at * 1000)::bigint), 12, '0')
                                     || '7' || substr(chance, 1, 3) || '8' || substr(chance, 5, 14) || seq
                              FROM unnest(ats) WITH ORDINALITY AS step (at, seq) ORDER BY seq) AS ids,
                        ARRAY(SELECT to_char((created_at + at * interval '1 second') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                              FROM unnest(offsets) WITH ORDINALITY AS moment (at, place) ORDER BY place) AS moments
                        ) AS named
                    OFFSET 0) AS a
                OFFSET 0) AS h
            OFFSET 0) AS h
        OFFSET 0) AS h
    OFFSET 0) AS h
), made AS (
INSERT INTO tasks_app_humantask ({task_columns})
SELECT {task_values}
FROM staged
CROSS JOIN LATERAL jsonb_populate_record(NULL::tasks_app_humantask,
    format(task, VARIADIC ARRAY['', '', (ARRAY[h1, h2, h3, h4])[steps]] || args)::jsonb) AS made
ORDER BY n
), step AS MATERIALIZED (
SELECT ids[seq] AS event_id, args[1] AS task_id, seq, types[seq] AS type, actors[seq] AS actor_id,
       created_at + ats[seq] * interval '1 second' AS at, froms[seq] AS from_status, tos[seq] AS to_status,
       snapshot, prev_hash, hash, principal_id, position + seq AS position
FROM staged
CROSS JOIN LATERAL (VALUES (1, s1, '', h1), (2, s2, h1, h2), (3, s3, h2, h3), (4, s4, h3, h4)) AS step (seq, snapshot, prev_hash, hash)
WHERE seq <= steps
), told AS (
INSERT INTO tasks_app_taskevent (event_id, task_id, seq, type, actor_id, on_behalf_of_id, reason, at, from_status, to_status, snapshot, prev_hash, hash)
SELECT event_id, task_id, seq, type, actor_id, NULL, '', at, from_status, to_status, snapshot, prev_hash, hash
FROM step ORDER BY position
), placed AS (
INSERT INTO tasks_app_eventoutbox (event_id, principal_id, position, dispatched_at)
SELECT event_id, principal_id, position, at FROM step ORDER BY position
)
INSERT INTO auditlog_logentry (content_type_id, object_pk, object_repr, changes_text, action, changes, actor_id, timestamp, additional_data)
SELECT %(content_type)s, task_id, task_id, '', CASE seq WHEN 1 THEN 0 ELSE 1 END,
       format('{{"status": ["%%s", "%%s"], "version": ["%%s", "%%s"]}}', from_status, to_status, seq - 1, seq)::jsonb,
       actor_id, at, format('{{"event_id": "%%s", "type": "%%s", "reason": ""}}', event_id, type)::jsonb
FROM step ORDER BY position
