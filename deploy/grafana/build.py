"""Writes human-task-queue.json: `python deploy/grafana/build.py`. One panel a line, so that a change is one line."""

import json
from pathlib import Path

PANELS = (
    ("Open tasks by status", "sum by (status) (hitl_open_tasks)", "timeseries", "none"),
    ("Open tasks by type", "sum by (task_type) (hitl_open_tasks)", "timeseries", "none"),
    ("Overdue", "hitl_overdue_tasks", "stat", "none"),
    ("Oldest that nobody has", "hitl_oldest_unassigned_seconds", "stat", "s"),
    ("Timers last swept", "hitl_sweep_age_seconds", "stat", "s"),
    ("Opened in 24 h", "sum by (task_type) (hitl_created_tasks_24h)", "timeseries", "none"),
    ("Ended in 24 h", "sum by (task_type) (hitl_resolved_tasks_24h)", "timeseries", "none"),
    ("Time to assignment, p90", 'hitl_assignment_seconds_24h{stat="p90"}', "timeseries", "s"),
    ("Time in hands, p90", 'hitl_work_seconds_24h{stat="p90"}', "timeseries", "s"),
    ("Time to the end, p90", 'hitl_resolution_seconds_24h{stat="p90"}', "timeseries", "s"),
    ("Missed deadlines by policy", "hitl_breach_ratio_24h", "timeseries", "percentunit"),
    ("Missed by clock", "max by (clock) (hitl_clock_breach_ratio_24h)", "timeseries", "percentunit"),
    ("Escalations by type", "hitl_escalation_ratio_24h", "timeseries", "percentunit"),
    ("Cannot complete, by operation", "hitl_failure_ratio_24h", "timeseries", "percentunit"),
    ("Rejected, by operation", "hitl_rejection_ratio_24h", "timeseries", "percentunit"),
    ("Oldest webhook on its way", "hitl_oldest_delivery_seconds", "timeseries", "s"),
    ("Events not dispatched", "hitl_outbox_events", "timeseries", "none"),
    ("Webhooks to send", "hitl_pending_deliveries", "timeseries", "none"),
)


def dashboard() -> dict[str, object]:
    source = {"type": "prometheus", "uid": "${source}"}
    panels = [
        {
            "id": number,
            "title": title,
            "type": kind,
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (place % 2), "y": 8 * (place // 2)},
            "targets": [{"refId": "A", "expr": expression, "datasource": source}],
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        }
        for place, (number, (title, expression, kind, unit)) in enumerate(enumerate(PANELS, 1))
    ]
    variable = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "title": "Human task queue",
        "uid": "human-task-queue",
        "schemaVersion": 39,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [variable]},
        "panels": panels,
    }


if __name__ == "__main__":
    Path(__file__).with_name("human-task-queue.json").write_text(json.dumps(dashboard(), indent=2) + "\n")
