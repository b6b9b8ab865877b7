-- The audit entries of the events that were just filled, as the project's own writer leaves one with each event.
INSERT INTO auditlog_logentry (content_type_id, object_pk, object_repr, changes_text, action, changes, actor_id, timestamp, additional_data)
SELECT (SELECT id FROM django_content_type WHERE app_label = 'tasks_app' AND model = 'humantask'), task_id, task_id, '',
       CASE seq WHEN 1 THEN 0 ELSE 1 END,
       jsonb_build_object('status', jsonb_build_array(from_status, to_status), 'version', jsonb_build_array(seq - 1, seq)),
       actor_id, at, jsonb_build_object('event_id', event_id, 'type', type, 'reason', reason)
FROM tasks_app_taskevent JOIN tasks_app_eventoutbox USING (event_id) WHERE position > %s
