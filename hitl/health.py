"""/livez and /readyz, for supervisors and load balancers.

They are answered by a middleware before the host check, sessions and the API: a probe comes with an address of its own
as Host. Liveness never asks the database, so that a database outage does not make anyone restart healthy processes.
"""

from collections.abc import Callable

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from core import clock
from hitl import checks
from tasks_app.metrics import silent_for

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class HealthMiddleware:
    """Answer the two paths; let everything else pass."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info == "/livez":
            return HttpResponse("alive\n", content_type="text/plain")
        if request.path_info == "/readyz":
            reason = why_not_ready()
            if reason:
                return JsonResponse({"status": "not ready", "reason": reason}, status=503)
            return JsonResponse({"status": "ready", **warnings()})
        return self.get_response(request)


def why_not_ready() -> str | None:
    """A sentence for the operator, or None if this process can serve. It names no host, user or path."""
    if checks.missing_keys():
        return f"These keys are missing: {', '.join(checks.missing_keys())}."
    try:
        if not _Schema.is_current:
            pending = len(pending_migrations())
            if pending:
                return f"{pending} migrations are not applied. Run `manage.py migrate`."
            _Schema.is_current = True
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "The database cannot be reached."
    return None


def warnings() -> dict[str, str]:
    """What is wrong beside this process: it serves, so it is ready; but a dead beat tells nobody by itself."""
    try:
        silent = silent_for(clock.now())
    except DatabaseError:
        return {}
    if silent is None:
        return {}
    return {"warning": f"Timers have not run for {int(silent.total_seconds())} s: beat or the worker is gone."}


class _Schema:
    # Looking at all migrations takes 100 ms; once applied they stay applied for the life of a process.
    is_current = False


def pending_migrations() -> list[str]:
    """The names of the migrations that the database lacks, as `app.name`."""
    connection = connections[DEFAULT_DB_ALIAS]
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
