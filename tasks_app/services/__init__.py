"""The one door for state: every change of a task goes through a function of this package.

All have one rhythm: lock the row, permit, run the transition in memory, write the task with its event. They take the
actor, return the task as it stands after the change, and raise the errors of `tasks_app.exceptions`.
"""

from tasks_app.services.claims import follow_limit, hand_over_task, put_back_task, skip_task
from tasks_app.services.create import NewTask, open_task, open_tasks
from tasks_app.services.escalate import escalate_task, expire_task, extend_task, withdraw_task
from tasks_app.services.hold import hold_task, resume_task
from tasks_app.services.notes import comment_on_task
from tasks_app.services.policies import (
    StepSpec,
    apply_changes,
    note_reason,
    note_type_changed,
    recompute_open_tasks,
    save_calendar,
    save_policy,
)
from tasks_app.services.priorities import change_priority
from tasks_app.services.resolve import Decision, decide_task, resolve_task
from tasks_app.services.reveal import erase_details, reveal_detail
from tasks_app.services.staging import stage_decision, take_back_decision
from tasks_app.services.stranded import return_stranded
from tasks_app.services.work import (
    assign_task,
    claim_next_task,
    claim_task,
    release_task,
    return_tasks_of,
    route_task,
    start_task,
)

__all__ = [
    "Decision",
    "NewTask",
    "StepSpec",
    "apply_changes",
    "assign_task",
    "change_priority",
    "claim_next_task",
    "claim_task",
    "comment_on_task",
    "decide_task",
    "erase_details",
    "escalate_task",
    "expire_task",
    "extend_task",
    "follow_limit",
    "hand_over_task",
    "hold_task",
    "note_reason",
    "note_type_changed",
    "open_task",
    "open_tasks",
    "put_back_task",
    "recompute_open_tasks",
    "release_task",
    "resolve_task",
    "resume_task",
    "return_stranded",
    "return_tasks_of",
    "reveal_detail",
    "route_task",
    "save_calendar",
    "save_policy",
    "skip_task",
    "stage_decision",
    "start_task",
    "take_back_decision",
    "withdraw_task",
]
