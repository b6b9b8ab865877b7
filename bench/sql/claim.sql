-- The most urgent task that waits, taken under a lock that other clients skip, with its event and its outbox row.
BEGIN;
SELECT task_id, status, version FROM task WHERE status IN ('pending', 'escalated')
ORDER BY priority DESC, created_at LIMIT 1 FOR UPDATE SKIP LOCKED \gset
UPDATE task SET status = 'assigned', assigned_to = 1, assigned_at = now(), updated_at = now(), version = version + 1 WHERE task_id = :task_id;
INSERT INTO task_event (task_id, seq, type, actor, at, from_status, to_status, snapshot)
VALUES (:task_id, :version + 1, 'task.claimed', 1, now(), :status, 'assigned', '{"status": "assigned", "priority": "high", "version": 2, "team": "creative-review"}')
RETURNING event_id \gset
INSERT INTO outbox (event_id, created_at) VALUES (:event_id, now());
COMMIT;
