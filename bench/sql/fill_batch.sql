-- One numbered row per task to insert, shared by the INSERTs of fill_limit.sql and fill_naive.sql.
CREATE TEMP TABLE batch AS
SELECT n, task_type, principal_id, status, priority, error_detail, context_data, created_at, steps,
       created_at + interval '24 hours' AS due_by,
       CASE WHEN steps > 1 THEN 1 END AS assigned_to,
       CASE WHEN steps > 1 THEN created_at + interval '20 minutes' END AS assigned_at,
       CASE WHEN steps = 4 THEN created_at + interval '2 hours' END AS completed_at,
       CASE WHEN steps = 4 THEN CASE status WHEN 'failed' THEN 'rejected' ELSE 'approved' END ELSE '' END AS resolution,
       CASE WHEN steps = 4 THEN 'Checked against the format sheet; the advertiser was told.' ELSE '' END AS resolution_detail
FROM (
    SELECT n, (%(task_types)s::text[])[1 + mod(n, 5)] AS task_type, 'principal_' || mod(n * 7, %(principals)s) AS principal_id,
           (ARRAY[0, 1, 1, 1, 2, 2, 2, 3])[1 + mod(n * 5, 8)] AS priority,
           CASE WHEN %(closed)s THEN CASE WHEN mod(n, 5) = 0 THEN 'failed' ELSE 'completed' END
                ELSE (ARRAY['escalated', 'assigned', 'in_progress', 'in_progress', 'in_progress', 'in_progress', 'in_progress', 'in_progress', 'in_progress', 'in_progress'])[1 + mod(n, 20)] END AS found,
           (%(texts)s::text[])[1 + mod(n, 5)] || ' (request ' || md5(n::text) || ')' || %(tail)s AS error_detail,
           jsonb_build_object('request', jsonb_build_object('line_item', 5550000000 + n, 'order', 2230000000 + n,
               'format', 'display_300x250', 'advertiser', 'Advertiser ' || mod(n * 7, %(principals)s), 'currency', 'EUR',
               'budget_micros', 25000000000, 'flight', jsonb_build_array('2025-03-01', '2025-03-31')), 'attempt', 1,
               'response', jsonb_build_object('status', 403, 'server', 'ads.example.net', 'path', 'lineItems[0]'),
               'notes', jsonb_build_array('first try', 'credentials valid', 'role missing')) AS context_data,
           now() - CASE WHEN %(closed)s THEN interval '1 day' + interval '90 days' * (1 - (n - %(first)s) / %(count)s::float)
                        ELSE interval '36 hours' * (1 - (n - %(first)s) / %(count)s::float) END AS created_at
    FROM generate_series(%(first)s, %(first)s + %(count)s - 1) AS n
) AS raw
CROSS JOIN LATERAL (SELECT coalesce(found, 'pending') AS status,
    CASE WHEN %(closed)s THEN 4 WHEN found = 'assigned' THEN 2 WHEN found = 'in_progress' THEN 3 ELSE 1 END AS steps) AS shape
