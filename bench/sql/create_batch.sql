-- A hundred new tasks with their events and outbox rows, in one statement.
WITH made AS (
    INSERT INTO task (task_id, task_type, principal_id, adapter_name, status, priority, media_buy_id, creative_id, operation,
                      error_detail, context_data, created_at, updated_at, due_by, version)
    SELECT 'task_' || lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || substr(gen_random_uuid()::text, 15),
           'creative_approval', 'acme_corp', 'google_ad_manager', 'pending', 2, 'mb_' || n, 'cr_' || n, 'add_creative',
           'PermissionError.PERMISSION_DENIED @ lineItems[0].creativePlaceholders; trigger: user lacks the role needed to serve this creative in the line item. The network answered after 412 ms; request 7f3a. The advertiser asked for a start on Monday; the line item is booked and waits for this creative. Escalate to the account team when the role cannot be granted within a day.',
           '{"request": {"line_item": 5551234567, "order": 2234455667, "format": "display_300x250", "advertiser": "Acme Outdoor", "flight": ["2025-03-01", "2025-03-31"], "budget_micros": 25000000000, "currency": "EUR"}, "response": {"fault": "PermissionError.PERMISSION_DENIED", "path": "lineItems[0].creativePlaceholders", "status": 500, "server": "ads.example.net"}, "attempt": 1, "notes": ["first try", "credentials valid", "role missing"]}',
           now(), now(), now() + interval '24 hours', 1
    FROM generate_series(1, 100) AS n
    RETURNING task_id
), told AS (
    INSERT INTO task_event (task_id, seq, type, actor, at, from_status, to_status, snapshot)
    SELECT task_id, 1, 'task.created', 1, now(), NULL, 'pending', '{"status": "pending", "priority": "high", "version": 1, "team": "creative-review"}' FROM made
    RETURNING event_id
)
INSERT INTO outbox (event_id, created_at) SELECT event_id, now() FROM told;
