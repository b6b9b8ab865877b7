-- A page of the 50 most urgent open tasks.
SELECT * FROM task WHERE status IN ('pending', 'assigned', 'in_progress', 'escalated') ORDER BY priority DESC, created_at LIMIT 50;
