"""Checkpoints, their verification, and the export with its stand-alone verifier."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from hitl import home
from tasks_app import events, jobs
from tasks_app.actors import Actor
from tasks_app.models import Checkpoint, HumanTask, TaskEvent
from tasks_app.services import Decision, comment_on_task, decide_task
from tasks_app.trail import checkpoints, verify
from tasks_app.trail.rows import compact
from tests.cast import NewTaskFactory

VERIFIER = Path(__file__).resolve().parents[2] / "docs" / "verify_trail.py"


@pytest.fixture(autouse=True)
def _own_home(settings: Any, tmp_path: Path) -> None:
    """The newest checkpoint is kept in the home folder; a test's own may not outlive its database."""
    settings.HITL_HOME = tmp_path


@pytest.fixture
def trail(make_task: NewTaskFactory, ana: Actor) -> list[HumanTask]:
    """Three tasks: one decided (four events), two opened; six positions."""
    tasks = [make_task(error_detail="größer als 300x250 ✓"), make_task(), make_task()]
    decide_task(tasks[0].pk, ana, Decision("rejected", "logo is cut off"))
    return tasks


Export = Callable[..., tuple[Path, list[dict[str, Any]]]]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    def run(*arguments: str) -> tuple[Path, list[dict[str, Any]]]:
        path = tmp_path / "trail.jsonl"
        call_command("audit_export", str(path), *arguments, verbosity=0)
        return path, [json.loads(line) for line in path.read_text().splitlines()]

    return run


def check_alone(path: Path, *keys: str) -> subprocess.CompletedProcess[str]:
    """Run the stand-alone verifier where this project cannot be imported."""
    command = [sys.executable, "-I", str(VERIFIER), str(path), *keys]
    return subprocess.run(command, capture_output=True, text=True, cwd=path.parent, check=False)


def test_it_seals_all_events_and_makes_nothing_where_nothing_is_new(
    trail: list[HumanTask], make_task: NewTaskFactory
) -> None:
    jobs.make_checkpoint()
    first = Checkpoint.objects.get()
    assert (first.number, first.from_position, first.to_position, first.previous) == (1, 0, 6, "")
    assert [line.split()[1] for line in first.rows.splitlines()].count(trail[0].pk) == 4
    jobs.make_checkpoint()
    assert Checkpoint.objects.count() == 1
    make_task()
    second = checkpoints.catch_up()
    assert second is not None
    assert (second.number, second.from_position, second.to_position, second.previous) == (2, 6, 7, first.digest)
    report = verify.verify()
    assert report.sound, report.findings
    assert (report.events, report.tasks, report.audit_entries, report.checkpoints) == (7, 4, 7, 2)


def test_it_seals_a_backlog_in_pieces(trail: list[HumanTask]) -> None:
    events.assign_positions()
    ends = []
    while (made := checkpoints.make(limit=4)) is not None:
        ends.append(made.to_position)
    assert ends == [4, 6]
    assert verify.verify().sound


def test_it_lets_one_of_two_makers_win(trail: list[HumanTask], monkeypatch: pytest.MonkeyPatch) -> None:
    events.assign_positions()
    read = checkpoints.rows_between

    def meanwhile(begin: int, end: int) -> str:
        monkeypatch.setattr(checkpoints, "rows_between", read)
        assert checkpoints.make() is not None
        return read(begin, end)

    monkeypatch.setattr(checkpoints, "rows_between", meanwhile)
    assert checkpoints.make() is None
    assert Checkpoint.objects.count() == 1


def test_its_checkpoints_are_append_only(trail: list[HumanTask]) -> None:
    checkpoints.catch_up()
    for change in (
        lambda: Checkpoint.objects.update(rows=""),
        lambda: Checkpoint.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
            change()
    with pytest.raises(TypeError):
        Checkpoint.objects.get().delete()


def test_it_trusts_retired_keys_only_where_they_are_named(
    trail: list[HumanTask], make_task: NewTaskFactory, settings: Any
) -> None:
    checkpoints.catch_up()
    old = checkpoints.public_key()
    settings.HITL_SIGNING_KEY = home.new_keys()["signing_key"]
    make_task()
    checkpoints.catch_up()
    assert {finding.check for finding in verify.verify().findings} == {"signature"}
    settings.HITL_RETIRED_SIGNING_KEYS = [old]
    assert verify.verify().sound


def test_it_keeps_the_newest_checkpoint_beside_the_database(
    trail: list[HumanTask], django_capture_on_commit_callbacks: Any, tmp_path: Path
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        made = checkpoints.catch_up()
    assert made is not None
    assert json.loads((tmp_path / "last-checkpoint.json").read_text()) == checkpoints.sent(made)
    call_command("audit_verify", verbosity=0)


def test_it_verifies_one_task_and_what_came_since_the_last_checkpoint(
    trail: list[HumanTask], make_task: NewTaskFactory, bot: Actor
) -> None:
    checkpoints.catch_up()
    make_task()
    comment_on_task(trail[1].pk, bot, "any news?")
    since = verify.verify(since_checkpoint=True)
    assert since.sound, since.findings
    assert (since.events, since.tasks, since.uncovered) == (3, 2, 2)
    one = verify.verify(task_id=trail[0].pk)
    assert one.sound, one.findings
    assert (one.events, one.tasks) == (4, 1)


def test_it_finds_a_trail_without_any_event_sound(db: None) -> None:
    assert verify.verify().sound


def test_its_command_answers_people_and_programs(trail: list[HumanTask], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit_verify")
    assert "No checkpoint was made yet" in capsys.readouterr().out
    call_command("audit_checkpoint")
    printed = json.loads(capsys.readouterr().out)
    assert printed["to_position"] == 6
    call_command("audit_verify")
    assert "The trail is sound: 6 events of 3 tasks, 6 audit entries, 1 checkpoints." in capsys.readouterr().out
    call_command("audit_verify", "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["sound"] is True
    assert document["last_checkpoint"] == printed
    with pytest.raises(CommandError, match="no event of a task 'task_unknown'"):
        call_command("audit_verify", "--task", "task_unknown")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": "1"}'])
def test_it_says_that_a_file_is_no_checkpoint(db: None, tmp_path: Path, text: str) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(CommandError, match=r"kept\.json"):
        call_command("audit_verify", "--against", str(path))


def test_it_exports_what_a_stand_alone_verifier_confirms(
    trail: list[HumanTask], make_task: NewTaskFactory, export: Export
) -> None:
    checkpoints.catch_up()
    make_task()
    events.assign_positions()
    path, lines = export()
    assert [line["kind"] for line in lines] == ["trail", *["event"] * 6, "checkpoint", "event"]
    assert {line["actor_id"] for line in lines[1:7]} == set(TaskEvent.objects.values_list("actor_id", flat=True))
    for keys in ((), (checkpoints.public_key(),)):
        done = check_alone(path, *keys)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert "Sound up to position 7; the last 1 are in no checkpoint" in done.stdout
    assert len(VERIFIER.read_text().splitlines()) < 60


def test_it_exports_a_range_with_the_checkpoints_inside(trail: list[HumanTask], export: Export) -> None:
    events.assign_positions()
    while checkpoints.make(limit=2):
        pass
    path, lines = export("--from-position", "3", "--to-position", "5")
    assert [line["kind"] for line in lines] == ["trail", "event", "event", "checkpoint", "event"]
    assert [line["position"] for line in lines if line["kind"] == "event"] == [3, 4, 5]
    assert check_alone(path).returncode == 0


Forge = Callable[[list[dict[str, Any]]], object]
FORGERIES: dict[str, tuple[Forge, str]] = {
    "an edited reason": (lambda lines: lines[1].update(reason="x"), "event 1: its hash does not fit"),
    "an edited snapshot": (
        lambda lines: lines[1].update(snapshot=lines[1]["snapshot"] + " "),
        "event 1: its hash does not fit",
    ),
    "an edited audit entry": (
        lambda lines: lines[1]["audit"][0].update(remote_addr="6.6.6.6"),
        "checkpoint 1: its events or audit entries",
    ),
    "two events swapped": (lambda lines: lines.insert(1, lines.pop(2)), "position 1 is missing"),
    "an event left out": (lambda lines: lines.pop(2), "position 2 is missing"),
    "the end cut off": (lambda lines: lines.pop(), "ends at position 6"),
    "an edited checkpoint": (lambda lines: lines[7].update(made_at="2020"), "checkpoint 1: edited"),
    "a forged signature": (lambda lines: lines[7].update(signature="A" * 86 + "=="), "InvalidSignature"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_its_stand_alone_verifier_finds_a_forged_line(
    trail: list[HumanTask], make_task: NewTaskFactory, export: Export, forgery: str
) -> None:
    checkpoints.catch_up()
    make_task()
    events.assign_positions()
    path, lines = export()
    forge, words = FORGERIES[forgery]
    forge(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = check_alone(path)
    assert done.returncode == 1
    assert words in done.stderr


def test_its_stand_alone_verifier_refuses_another_key(trail: list[HumanTask], export: Export) -> None:
    checkpoints.catch_up()
    path, _lines = export()
    other = base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    done = check_alone(path, other)
    assert done.returncode == 1
    assert "signed with another key" in done.stderr


@pytest.mark.parametrize(
    "text", ["plain", 'quote " back \\ slash /', "\x01\x1f\x7f\x80\u2028\t\r\n\b\f", "größer ✓ 𝄞", "<&>"]
)
def test_its_digests_are_those_of_the_standard_library(text: str) -> None:
    """Audit entries are digested with orjson; the stand-alone verifier has json.dumps alone."""
    entry = {"z": text, "a": {text: [None, True, 3, {"ü": text, "z": 1}]}, "number": 2**53}
    assert compact(entry) == json.dumps(entry, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
