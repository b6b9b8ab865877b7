"""The rules of the house beside the import contracts: who writes a status, how long a module is, where I/O may happen.

Each rule is a function over parsed source, and is shown a small offender that it must catch.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("core", "tasks_app", "notifications", "hitl")
LONGEST = 400

HTTP_CLIENTS = {"aiohttp", "httpx", "requests", "urllib3", "http.client", "urllib.request"}
OUTSIDE = HTTP_CLIENTS | {"celery", "smtplib", "socket", "subprocess", "asyncio", "time", "redis", "core.http"}
# Calls that wait for something other than the database.
SLOW_CALLS = {
    "sleep",
    "urlopen",
    "send_mail",
    "apply_async",
    "delay",
    "send_task",
    "Popen",
    "check_output",
    "getaddrinfo",
}

Rule = Callable[[ast.Module, str], list[str]]


def shipped() -> list[Path]:
    """Every module that is shipped, without migrations."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path for path in files if "migrations" not in path.parts and "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The dotted names that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def is_or_below(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


# -- rules ------------------------------------------------------------------------------------------------------------


def writes_a_status(tree: ast.Module, module: str) -> list[str]:
    """Writes of a task's status past the transitions. Deliveries and answers may have a status of their own."""
    if module == "tasks_app.models.task":
        return []
    everywhere = module.startswith("tasks_app")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and target.attr == "status" and _is_task(target.value, everywhere):
                    found.append(f"line {node.lineno}: {ast.unparse(node)}")
                if isinstance(target, ast.Subscript) and ast.unparse(target).endswith(".__dict__['status']"):
                    found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            passes_status = any(keyword.arg == "status" for keyword in node.keywords)
            writes = called.split(".")[-1] in ("update", "create", "get_or_create", "update_or_create", "HumanTask")
            about_tasks = everywhere or "HumanTask" in called
            if passes_status and writes and about_tasks:
                found.append(f"line {node.lineno}: {called}(status=...)")
            texts = {argument.value for argument in ast.walk(node) if isinstance(argument, ast.Constant)}
            if called in ("setattr", "object.__setattr__") and "status" in texts and everywhere:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
            if called.endswith("bulk_update") and "status" in texts and about_tasks:
                found.append(f"line {node.lineno}: {called}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = " ".join(node.value.lower().split())
            if "update tasks_app_humantask" in text and "status" in text.partition(" set ")[2].partition(" where ")[0]:
                found.append(f"line {node.lineno}: {text[:60]}")
    return found


def _is_task(value: ast.expr, everywhere: bool) -> bool:
    text = ast.unparse(value)
    return (everywhere and text not in ("self", "record", "response")) or text.split(".")[-1] in ("task", "human_task")


def waits_in_a_transaction(tree: ast.Module, module: str) -> list[str]:
    """Calls that wait for the outside, written inside a transaction. (Calls behind other functions are not seen.)"""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            opened = " ".join(ast.unparse(item.context_expr) for item in node.items)
            inside = any(name in opened for name in ("atomic(", "changing("))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = any("atomic" in ast.unparse(decorator) for decorator in node.decorator_list)
        else:
            continue
        if not inside:
            continue
        for call in ast.walk(node):
            if isinstance(call, ast.Await):
                found.append(f"line {call.lineno}: {ast.unparse(call)}")
            if isinstance(call, ast.Call):
                called = ast.unparse(call.func)
                if called.split(".")[-1] in SLOW_CALLS or called.split(".")[0] in (
                    "http",
                    "requests",
                    "httpx",
                    "subprocess",
                ):
                    found.append(f"line {call.lineno}: {called}")
                if called == "open":
                    found.append(f"line {call.lineno}: open")
    return found


def lets_the_domain_reach_outside(tree: ast.Module, module: str) -> list[str]:
    """The services, and what they stand on, import nothing that waits, and no door through which they are called."""
    layers = {
        f"tasks_app.{name}" for name in ("services", "models", "permissions", "events", "selectors", "states", "chain")
    }
    if not is_or_below(module, layers):
        return []
    doors = {
        "tasks_app.admin",
        "tasks_app.api",
        "tasks_app.jobs",
        "tasks_app.management",
        "rest_framework",
        "django.contrib.admin",
    }
    return [f"line {line}: {name}" for name, line in imports(tree) if is_or_below(name, doors | OUTSIDE)]


def frameworks_out_of_place(tree: ast.Module, module: str) -> list[str]:
    """DRF at the API, one HTTP client, Celery in the jobs."""
    parts = module.split(".")
    allowed: set[str] = set()
    if module.startswith("core.api") or (len(parts) > 1 and parts[1] == "api"):
        allowed |= {"rest_framework"}
    if module == "core.http":
        allowed |= HTTP_CLIENTS
    if module == "hitl.supervisor":  # asks its own web process whether it is ready
        allowed |= {"http.client"}
    if parts[-1] == "jobs" or module in ("hitl.celery", "hitl.beat"):
        allowed |= {"celery"}
    watched = HTTP_CLIENTS | {"rest_framework", "celery"}
    return [
        f"line {line}: {name}"
        for name, line in imports(tree)
        if is_or_below(name, watched) and not is_or_below(name, allowed)
    ]


def signals_of_our_own(tree: ast.Module, module: str) -> list[str]:
    """No signal carries behaviour; those around a migration install the guards."""
    return [
        f"line {line}: {name}"
        for name, line in imports(tree)
        if name.startswith(("django.db.models.signals.", "django.dispatch")) and not name.endswith("_migrate")
    ]


# Rule -> a module's name and a source that breaks it.
RULES: dict[Rule, list[tuple[str, str]]] = {
    writes_a_status: [
        ("tasks_app.admin.queue", "task.status = 'completed'"),
        ("tasks_app.admin.queue", "HumanTask.objects.filter(pk=1).update(status='failed')"),
        ("tasks_app.services.work", "HumanTask(status='assigned')"),
        ("tasks_app.services.work", "setattr(task, 'status', 'assigned')"),
        ("tasks_app.services.work", "task.__dict__['status'] = 'assigned'"),
        ("tasks_app.services.work", "HumanTask.objects.bulk_update(tasks, ['status'])"),
        ("notifications.relay", "event.task.status = 'failed'"),
        ("notifications.relay", "HumanTask.objects.update(status='failed')"),
        ("tasks_app.timers", "cursor.execute('UPDATE tasks_app_humantask SET status = 1 WHERE task_id = 2')"),
    ],
    waits_in_a_transaction: [
        ("tasks_app.services.work", "with transaction.atomic():\n    time.sleep(1)"),
        ("tasks_app.services.work", "with changing(pk, actor) as change:\n    requests.post('http://x')"),
        ("notifications.relay", "@transaction.atomic\ndef f():\n    job.delay(1)"),
    ],
    lets_the_domain_reach_outside: [
        ("tasks_app.services.work", "from tasks_app.admin import queue"),
        ("tasks_app.services.work", "def f():\n    import subprocess"),
        ("tasks_app.models.task", "from core import http"),
    ],
    frameworks_out_of_place: [
        ("tasks_app.services.work", "from rest_framework import serializers"),
        ("notifications.relay", "import aiohttp"),
        ("tasks_app.timers", "from celery import shared_task"),
    ],
    signals_of_our_own: [("tasks_app.apps", "from django.db.models.signals import post_save")],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_the_rule(rule: Rule) -> None:
    broken = [
        f"{name_of(path)}, {what}" for path in shipped() for what in rule(ast.parse(path.read_text()), name_of(path))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [(rule, *offender) for rule, offenders in RULES.items() for offender in offenders],
    ids=lambda value: getattr(value, "__name__", str(value)[:30]),
)
def test_its_rule_catches_an_offender(rule: Rule, module: str, source: str) -> None:
    assert rule(ast.parse(source), module)


def test_its_modules_stay_short() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in shipped()}
    assert len(lengths) > 30
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_its_background_work_lives_in_jobs() -> None:
    """`tasks.py` would read as human tasks, and Celery would find it."""
    assert [path for path in shipped() if path.name == "tasks.py" and "api" not in path.parts] == []
