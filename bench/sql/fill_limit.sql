-- Tasks, events and outbox rows of the limit's own schema, from the temporary table of fill_batch.sql.
INSERT INTO task
SELECT 'task_' || lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') || substr(md5(n::text), 1, 20),
       task_type, principal_id, 'google_ad_manager', status, priority, 'mb_' || n, 'cr_' || n, 'add_creative', error_detail,
       context_data, assigned_to, assigned_at, created_at, created_at, due_by, completed_at, resolution, resolution_detail,
       CASE WHEN steps = 4 THEN 1 END, steps
FROM batch ORDER BY n;
INSERT INTO task_event (event_id, task_id, seq, type, actor, at, from_status, to_status, snapshot) OVERRIDING SYSTEM VALUE
SELECT n * 4 + seq - 4,
       'task_' || lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0') || substr(md5(n::text), 1, 20),
       seq, (ARRAY['task.created', 'task.claimed', 'task.started', 'task.completed'])[seq], 1,
       created_at + seq * interval '10 minutes', (ARRAY[NULL, 'pending', 'assigned', 'in_progress'])[seq],
       (ARRAY['pending', 'assigned', 'in_progress', 'completed'])[seq],
       jsonb_build_object('status', status, 'priority', priority, 'version', seq, 'team', 'creative-review')
FROM batch CROSS JOIN LATERAL generate_series(1, steps) AS seq ORDER BY n, seq;
INSERT INTO outbox SELECT n * 4 + seq - 4, created_at, created_at FROM batch CROSS JOIN LATERAL generate_series(1, steps) AS seq;
SELECT setval(pg_get_serial_sequence('task_event', 'event_id'), (SELECT max(event_id) FROM task_event));
