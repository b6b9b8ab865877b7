-- A task in work is decided: the row, its event and its outbox row, in one transaction.
BEGIN;
SELECT task_id, version FROM task WHERE status = 'in_progress' ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED \gset
UPDATE task SET status = 'completed', completed_at = now(), updated_at = now(), resolution = 'completed', resolved_by = 1,
                resolution_detail = 'Checked against the format sheet; the advertiser was told.', version = version + 1 WHERE task_id = :task_id;
INSERT INTO task_event (task_id, seq, type, actor, at, from_status, to_status, snapshot)
VALUES (:task_id, :version + 1, 'task.completed', 1, now(), 'in_progress', 'completed', '{"status": "completed", "priority": "high", "version": 4, "team": "creative-review"}')
RETURNING event_id \gset
INSERT INTO outbox (event_id, created_at) VALUES (:event_id, now());
COMMIT;
