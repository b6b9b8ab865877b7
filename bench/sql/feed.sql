-- A page of 500 events out of the latest 5,000, in order.
\set back random(500, 5000)
SELECT * FROM task_event WHERE event_id > (SELECT max(event_id) - :back FROM task_event) ORDER BY event_id LIMIT 500;
