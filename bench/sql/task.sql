-- One task, of a random moment of the last 90 days.
\set minute random(1, 129600)
SELECT * FROM task WHERE task_id >= 'task_' || lpad(to_hex(((extract(epoch FROM now()) - :minute * 60) * 1000)::bigint), 12, '0') ORDER BY task_id LIMIT 1;
