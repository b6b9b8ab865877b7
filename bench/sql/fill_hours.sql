-- What the roll-up would have left of the closed tasks: the same rows an hour, whatever their number.
DELETE FROM tasks_app_hoursummary;
INSERT INTO tasks_app_hoursummary (hour, what, task_type, adapter_name, operation, policy, person, team, number, missed, seconds, buckets)
SELECT hour, what, task_type, CASE WHEN what LIKE 'ended\_%%' THEN 'google_ad_manager' ELSE '' END,
       CASE WHEN what LIKE 'ended\_%%' THEN 'add_creative' ELSE '' END, '', CASE what WHEN 'decided' THEN 'ana' ELSE '' END, '',
       %(number)s, CASE what WHEN 'ended' THEN %(number)s / 20 ELSE 0 END,
       CASE WHEN what IN ('assigned', 'ended') THEN 7200.0 * %(number)s ELSE 0 END,
       CASE WHEN what IN ('assigned', 'ended') THEN %(buckets)s::jsonb ELSE '[]'::jsonb END
FROM generate_series(date_trunc('hour', now()) - %(hours)s * interval '1 hour', date_trunc('hour', now()) - interval '1 hour', '1 hour') AS hour
CROSS JOIN unnest(%(task_types)s::text[]) AS task_type
CROSS JOIN unnest(ARRAY['created', 'assigned', 'ended', 'ended_approved', 'decided']) AS what
