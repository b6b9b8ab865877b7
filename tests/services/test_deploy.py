"""Dashboard and alert rules name only what /metrics serves, and promtool, where it is installed, evaluates them."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.test import Client
from pytest_django import Settings

from core import clock
from deploy.grafana import build
from tasks_app import events, metrics, summaries
from tasks_app.actors import Actor
from tasks_app.services import Decision, decide_task
from tests.cast import NewTaskFactory

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "human-task-queue.json").read_text())
NAME = re.compile(r"hitl_\w+")


@pytest.fixture
def scrape(make_task: NewTaskFactory, ana: Actor, settings: Settings) -> str:
    """What Prometheus reads of a system in which something of everything has happened."""
    now = clock.now()
    with clock.at(now - timedelta(hours=2)):
        ended = make_task(adapter_name="mock", operation="add_creative")
        make_task(due_in_hours=1)
    with clock.at(now - timedelta(hours=1)):
        decide_task(ended.pk, ana, Decision("approved"))
    events.assign_positions()
    summaries.roll_up()
    metrics.note_sweep(now)
    settings.HITL_METRICS_TOKEN = "a token for the scraper"
    response = Client().get("/metrics", headers={"Authorization": "Bearer a token for the scraper"})
    return response.content.decode()


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*(rule["expr"] for rule in RULES), *panels]


def test_it_names_only_metrics_that_are_served(scrape: str) -> None:
    served = {line.split("{")[0].split()[0] for line in scrape.splitlines() if not line.startswith("#")}
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert asked <= served
    assert not {"hitl_made_up"} <= served


def test_it_says_what_to_do_in_every_alert() -> None:
    assert all({"summary", "action"} == set(rule["annotations"]) and rule["for"] for rule in RULES)


def test_its_dashboard_is_what_the_builder_writes() -> None:
    assert build.dashboard() == DASHBOARD


def test_its_panels_are_listed_with_their_queries() -> None:
    listed = re.findall(r"^\| (.+) \| `(.+)` \|$", (DEPLOY.parent / "docs" / "metrics.md").read_text(), re.MULTILINE)
    asked = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert [pair for pair in listed if "hitl_" in pair[1] and "|" not in pair[0]] == asked


def test_it_evaluates_every_expression(scrape: str, tmp_path: Path) -> None:
    """With promtool: each expression over the scraped samples gives an answer, and each rule is one it accepts."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    series = [
        {"series": name, "values": f"{value}x3"}
        for name, _space, value in (line.rpartition(" ") for line in scrape.splitlines() if line.startswith("hitl_"))
    ]
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    # A panel shows something; a rule's condition may be false, but is one that can be asked.
    asked = [f"count({expression}) > bool 0" for expression in panels]
    asked += [f"count(({rule['expr']}) or on() vector(1)) > bool 0" for rule in RULES]
    one = [{"labels": "{}", "value": 1}]
    wanted = [{"expr": expression, "eval_time": "1m", "exp_samples": one} for expression in asked]
    rules = str(DEPLOY / "prometheus" / "alerts.yml")
    game = {"interval": "1m", "input_series": series, "promql_expr_test": wanted}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [rules], "tests": [game]}))
    for command in (["check", "rules", rules], ["test", "rules", str(tmp_path / "test.yml")]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
