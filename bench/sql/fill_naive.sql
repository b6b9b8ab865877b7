-- The same rows in the tables of the stock project.
INSERT INTO work_task (id, task_type, principal_id, adapter_name, status, priority, media_buy_id, creative_id, operation,
    error_detail, context_data, assigned_to, assigned_at, created_at, updated_at, due_by, completed_at, resolution,
    resolution_detail, resolved_by)
SELECT n, task_type, principal_id, 'google_ad_manager', status, priority, 'mb_' || n, 'cr_' || n, 'add_creative',
       error_detail, context_data, CASE WHEN steps > 1 THEN 'ana' ELSE '' END, assigned_at, created_at, created_at, due_by, completed_at, resolution,
       resolution_detail, CASE WHEN steps = 4 THEN 'ana' ELSE '' END
FROM batch ORDER BY n;
INSERT INTO work_event (id, task_id, type, actor, from_status, to_status, snapshot, at)
SELECT n * 4 + seq - 4, n, (ARRAY['task.created', 'task.claimed', 'task.started', 'task.completed'])[seq], 'ana',
       (ARRAY['', 'pending', 'assigned', 'in_progress'])[seq], (ARRAY['pending', 'assigned', 'in_progress', 'completed'])[seq],
       jsonb_build_object('status', status, 'priority', priority, 'assigned_to', 'ana'), created_at + seq * interval '10 minutes'
FROM batch CROSS JOIN LATERAL generate_series(1, steps) AS seq ORDER BY n, seq;
INSERT INTO work_outbox (event_id, created_at, dispatched_at)
SELECT n * 4 + seq - 4, created_at, created_at FROM batch CROSS JOIN LATERAL generate_series(1, steps) AS seq ORDER BY n, seq;
SELECT setval(pg_get_serial_sequence('work_task', 'id'), (SELECT max(id) FROM work_task));
SELECT setval(pg_get_serial_sequence('work_event', 'id'), (SELECT max(id) FROM work_event));
