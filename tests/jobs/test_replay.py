"""Replay: a small log through the real services agrees with the counter; the real one does where it is at hand."""

import gzip
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from bench import count_breaches
from tasks_app.models import HumanTask, SLAPolicy, TaskEvent
from tasks_app.replay import logs

ROOT = Path(__file__).parents[2]
WHOLE = logs.BUILT_IN["servicenow"].read_text()
DATA = Path(os.environ.get("HITL_SHARED_DATA", ROOT / ".." / "shared" / "data"))
INCIDENTS = DATA / "servicenow_incidents_uci498.csv.gz"
NEW_YORK = "America/New_York 09:00-17:00"
COLUMNS = "number,incident_state,opened_at,sys_updated_at,category,priority,assignment_group,assigned_to"
LOG = f"""{COLUMNS}
ONE,New,11/3/2016 15:00,11/3/2016 15:05,Net,2 - High,?,?
ONE,Active,11/3/2016 15:00,11/3/2016 15:30,Net,2 - High,Desk,Kim
ONE,Active,11/3/2016 15:00,11/3/2016 16:00,Net,1 - Critical,Lab,Kim
ONE,Resolved,11/3/2016 15:00,11/3/2016 19:01,Net,1 - Critical,Lab,Kim
TWO,New,11/3/2016 21:30,11/3/2016 21:30,Net,1 - Critical,Desk,?
TWO,Resolved,11/3/2016 21:30,14/3/2016 16:29,Net,1 - Critical,Desk,?
TWO,Active,11/3/2016 21:30,15/3/2016 09:00,Net,1 - Critical,Desk,Lee
TWO,Closed,11/3/2016 21:30,15/3/2016 12:59,Net,1 - Critical,Desk,Lee
SIX,New,14/3/2016 08:00,14/3/2016 08:10,Net,4 - Low,Desk,Lee
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(LOG.encode()))
    return path


def replayed(path: Path, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("replay", str(path), "--json", *options, stdout=out)
    return dict(json.loads(out.getvalue()))


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "here"), [("", True), (NEW_YORK, True), (NEW_YORK, False)])
def test_it_agrees_with_the_counter_and_leaves_nothing(log: Path, tmp_path: Path, hours: str, here: bool) -> None:
    report = replayed(log, *(["--hours", hours] if hours else []), *(["--here"] if here else []))
    verdicts = {(case, number): breached for case, number, *_moments, breached in report["verdicts"]}
    # ONE became critical at 16:00 and had until 19:00. TWO had half an hour of Friday in New York, and on Monday, after
    # the clocks had changed, until 16:30 UTC.
    assert verdicts == {
        ("ONE", 1): True,
        ("TWO", 1): not hours,
        ("TWO", 2): False,
        ("SIX", 1): False,
    }
    assert report["until"] == "2016-03-15T12:59:00+00:00"
    (tmp_path / "replay.json").write_text(json.dumps(report))
    command = [sys.executable, "-m", "bench.count_breaches", str(log), "--against", str(tmp_path / "replay.json")]
    counted = subprocess.run([*command, "--hours", hours], capture_output=True, text=True, cwd=ROOT, check=False)
    assert counted.stdout.endswith("0 differences\n"), counted.stdout
    assert not HumanTask.objects.exists() and not TaskEvent.objects.exists() and not SLAPolicy.objects.exists()  # noqa: PT018


@pytest.mark.django_db
def test_it_lists_a_difference(log: Path, tmp_path: Path) -> None:
    """The comparison can fail: one verdict turned round is found and named."""
    report = replayed(log, "--here")
    report["verdicts"][0][-1] = not report["verdicts"][0][-1]
    (tmp_path / "replay.json").write_text(json.dumps(report))
    command = [sys.executable, "-m", "bench.count_breaches", str(log), "--against", str(tmp_path / "replay.json")]
    counted = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "ONE #1" in counted.stdout
    assert counted.stdout.endswith("1 differences\n")


@pytest.mark.django_db
def test_it_reads_other_logs_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "columns.toml").write_text(
        'case = "id"\nmoment = "at"\nopened = "since"\nstate = "status"\ntype = "kind"\npriority = "p"\nteam = "t"\n'
        'assignee = "who"\ntime_format = "%Y-%m-%dT%H:%M"\ntime_zone = "Europe/Berlin"\nended = ["done"]\n'
        '[priorities]\nP1 = "urgent"\n'
    )
    (tmp_path / "log.csv").write_text(
        "id,at,since,status,kind,p,t,who\n"
        "a,2026-03-02T09:00,2026-03-02T09:00,new,x,P1,,\na,2026-03-02T13:01,2026-03-02T09:00,done,x,P1,,\n"
    )
    report = replayed(tmp_path / "log.csv", "--here", "--format", str(tmp_path / "columns.toml"))
    assert report["verdicts"] == [["a", 1, "2026-03-02T12:00:00+00:00", "2026-03-02T12:01:00+00:00", True]]
    with pytest.raises(CommandError, match="keys"):
        replayed(tmp_path / "log.csv", "--format", str(tmp_path / "missing.toml"))


@pytest.mark.django_db
def test_it_reads_a_log_that_names_no_more_than_cases_moments_and_states(tmp_path: Path) -> None:
    """As approvals by role are recorded: no arrival, type, priority or person, and moments with their offset."""
    (tmp_path / "columns.toml").write_text(
        'case = "case"\nmoment = "at"\nstate = "what"\nteam = "role"\ntime_format = "%Y-%m-%dT%H:%M:%S.%f%z"\n'
        'time_zone = "Asia/Tokyo"\nended = ["approved"]\n'
    )
    (tmp_path / "log.csv").write_text(
        "case,at,what,role\na,2017-01-09T09:49:50.000+01:00,submitted,STAFF\n"
        "a,2017-01-10T09:49:51.000+01:00,approved,CHIEF\n"
    )
    report = replayed(tmp_path / "log.csv", "--format", str(tmp_path / "columns.toml"))
    assert report["verdicts"] == [["a", 1, "2017-01-10T08:49:50+00:00", "2017-01-10T08:49:51+00:00", True]]


@pytest.mark.parametrize(
    ("log", "options", "said"),
    [
        (LOG.replace("assignment_group", "group"), [], "no column assignment_group; the first line names number"),
        (
            LOG.replace("category", "number"),
            ["--format", WHOLE.replace("category", "number")],
            "more than one column number",
        ),
        (f"{COLUMNS}\n", [], "no case"),
        ("", [], "no column number"),
        (f"{LOG}SIX,New,14/3/2016\n", [], "line 11 is too short"),
        (f"{LOG}SIX,New,14/3/2016 08:00,14/3/2016 08:10,Net,4 - Low,Desk,Lee, Kim\n", [], "line 11 has more values"),
        (f"{LOG},New,14/3/2016 08:00,14/3/2016 08:10,Net,4 - Low,Desk,Lee\n", [], "line 11: number is empty"),
        (LOG.replace("Kim", '"Kim', 1), [], "line 3: unexpected end of data"),
        (LOG.replace("Kim", "K\0m", 1), [], "line 3 has a zero byte"),
        (LOG.replace("Lab", "L" * 200_000, 1), [], "line 4: field larger"),
        (LOG.replace("14/3/2016 08:10", "2016-03-14"), [], "line 10: sys_updated_at: '2016-03-14' is not a moment"),
        (LOG.replace("14/3/2016 08:00", "14/3/9999 08:00"), [], "line 10: opened_at: .* of the year 9999"),
        (gzip.compress(LOG.encode())[:-20], [], "line"),
        (b"\xff\xfe", [], "utf-8"),
        (LOG, ["--targets", "1,2,3"], "four numbers"),
        (LOG, ["--targets", "0,2,3,4"], "at least one minute"),
        (LOG, ["--hours", "Mars/Base 09:00-17:00"], "not a time zone"),
        (LOG, ["--hours", "UTC"], "not a time of day"),
        (LOG, ["--format", 'case = "number"'], "keys"),
        (LOG, ["--format", WHOLE.replace("UTC", "Mars/Base")], "Mars/Base"),
        (LOG, ["--format", WHOLE.replace('"urgent"', '"critical"')], "'1 - Critical' is 'critical', not one of low"),
        (LOG, ["--format", WHOLE.replace('["Resolved", "Closed"]', '"Closed"')], "'ended' is not a list of texts"),
        (LOG, ["--format", WHOLE.replace('["Resolved", "Closed"]', "[]")], "there is no 'ended'"),
        (LOG, ["--format", WHOLE.replace('"number"', "5")], "'case' is not a text"),
        (LOG, ["--format", WHOLE.replace('"%d/%m/%Y %H:%M"', "2016")], "'time_format' is not a text"),
        (LOG, ["--limit=0"], "'0' is not a number of cases"),
        (LOG, ["--format", f'colour = "red"\n{WHOLE}'], "colour"),
    ],
)
@pytest.mark.django_db
def test_it_says_what_is_wrong_with_a_log_or_its_description(
    tmp_path: Path, log: str | bytes, options: list[str], said: str
) -> None:
    path, columns = tmp_path / "log.csv", tmp_path / "columns.toml"
    path.write_bytes(log if isinstance(log, bytes) else log.encode())
    if options[:1] == ["--format"]:
        columns.write_text(options[1])
        options = ["--format", str(columns)]
    with pytest.raises(CommandError, match=said):
        call_command("replay", str(path), "--here", *options)


@pytest.mark.django_db
def test_it_tells_what_is_odd(tmp_path: Path) -> None:
    """Newest first, each row twice, names that no column of ours is long enough for, and no state that ends."""
    path, told = tmp_path / "log.csv", StringIO()
    head, *rows = LOG.replace("Kim", "K" * 300).replace("2 - High", "P2").replace("Resolved", "resolved").splitlines()
    path.write_text("\n".join([head, *reversed(rows), *rows]).replace("Closed", "closed"))
    call_command("replay", str(path), "--here", stdout=StringIO(), stderr=told)
    assert told.getvalue().splitlines() == [
        "No row is in an ended state (Resolved, Closed). States are: 'New' (6), 'Active' (6), 'resolved' (4), "
        "'closed' (2).",
        "Priorities that are not listed count as medium: 'P2' (4).",
        "6 rows are dated before the one above of the same case, and count as written with it. If the log is not in "
        "order, sort it by its moments.",
        "9 rows stand there twice.",
    ]
    path.write_text(LOG)
    call_command("replay", str(path), "--here", stdout=StringIO(), stderr=(quiet := StringIO()))
    assert not quiet.getvalue()


def test_its_counter_is_short_and_on_its_own() -> None:
    source = Path(count_breaches.__file__).read_text()
    assert len(source.splitlines()) < 150
    assert not any(name in source for name in ("tasks_app", "from core", "django", "hitl"))


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.parametrize("hours", ["", NEW_YORK])
def test_it_agrees_on_the_first_cases_of_a_real_log(tmp_path: Path, hours: str) -> None:
    if not INCIDENTS.exists():
        pytest.skip(f"{INCIDENTS.name} is not at hand (HITL_SHARED_DATA)")
    report = replayed(INCIDENTS, "--here", "--limit", "60", *(["--hours", hours] if hours else []))
    (tmp_path / "replay.json").write_text(json.dumps(report))
    command = [sys.executable, "-m", "bench.count_breaches", str(INCIDENTS), "--limit", "60", "--hours", hours]
    command += ["--against", str(tmp_path / "replay.json")]
    counted = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert counted.stdout.endswith("0 differences\n"), counted.stdout
