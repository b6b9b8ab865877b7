"""The errors of the domain. The docstring is the default message; each has a stable code and an HTTP status."""

from collections.abc import Sequence

from core.errors import HitlError


class TaskError(HitlError):
    """The task could not be changed."""

    code = "task_error"


class TaskNotFound(TaskError):
    """There is no task with this id, or it is not yours to see."""

    code = "not_found"
    status = 404


class NotAllowed(TaskError):
    """You are not allowed to do this."""

    code = "permission_denied"
    status = 403


class WrongState(TaskError):
    """The task's status does not permit this."""

    code = "wrong_state"
    status = 409


class TakenByAnother(WrongState):
    """Somebody else is working on this task."""

    code = "taken_by_another"


class TakenBack(WrongState):
    """The task was taken back from you meanwhile. Read it again; then claim it, or decide with If-Match."""

    code = "taken_back"


class StaleVersion(TaskError):
    """The task has changed since you read it. Read it again and decide on what it says now."""

    code = "stale_version"
    status = 412


class Conflict(TaskError):
    """This clashes with something that happened at the same time. Try again."""

    code = "conflict"
    status = 409


class PoliciesMoved(Conflict):
    """The deadline policies were changed at this moment. Try again."""


class InvalidInput(TaskError):
    """A value is not acceptable."""

    code = "invalid"
    status = 400

    def __init__(self, field: str, message: str) -> None:
        """`field` names the input; `message` says what would be right."""
        super().__init__(f"{field}: {message}", errors=[{"field": field, "message": message, "code": "invalid"}])
        self.field = field
        self.message = message

    def with_others(self, others: Sequence["InvalidInput"]) -> "InvalidInput":
        """The same error, naming further inputs that are not acceptable."""
        for other in others:
            self.extra["errors"] += other.extra["errors"]
        if others:
            self.detail += f" ({len(others)} more in `errors`)"
        return self
