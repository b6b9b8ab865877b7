"""Attacks on the trail by somebody who can write the database, on the database at hand (tests/faults/attacks.py).

Each is tried with the guards standing, then with the guards lifted. What the guards let through, and what was done
behind their back, is found by `audit_verify`: the table says by which of its checks, and that none finds it once these
are taken away.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from core import guards
from tasks_app.actors import Actor
from tasks_app.models import FeedHead, HumanTask
from tasks_app.services import Decision, comment_on_task, decide_task
from tasks_app.trail import checkpoints, checks, verify
from tests.cast import NewTaskFactory
from tests.faults.attacks import ATTACKS, AUDIT, EVENTS, Attack, Trail, forget, update

HERE = [pytest.param(attack, id=attack.name) for attack in ATTACKS if attack.vendor in ("", connection.vendor)]


@pytest.fixture(autouse=True)
def _own_home(settings: Any, tmp_path: Path) -> None:
    settings.HITL_HOME = tmp_path
    settings.HITL_FEED_READY = 0  # no second copy of the events, which would show most attacks, too


@pytest.fixture
def trail(make_task: NewTaskFactory, ana: Actor, bot: Actor) -> Trail:
    a, b, c = (make_task().pk for _ in range(3))
    decide_task(a, ana, Decision("rejected", "logo is cut off"))
    comment_on_task(b, bot, "the buyer asks")
    checkpoints.catch_up()
    comment_on_task(b, bot, "asks again")
    checkpoints.catch_up()
    comment_on_task(c, ana, "I look at it tomorrow")
    last = checkpoints.catch_up()
    assert last is not None
    comment_on_task(c, ana, "today, after all")
    trail = Trail(a, b, c, checkpoints.sent(last))
    report = trail.report()
    assert report.sound, report.findings
    assert (report.events, report.checkpoints, report.uncovered) == (10, 3, 1)
    return trail


def take_away(names: Iterable[str], patch: pytest.MonkeyPatch) -> None:
    for name in names:
        patch.setattr(checks, name, lambda *_arguments: ())


@pytest.mark.parametrize("attack", HERE)
def test_it_blocks_or_detects_an_attack(trail: Trail, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    if attack.blocked:
        with pytest.raises(IntegrityError, match="is append-only"), transaction.atomic():
            attack.act(trail)
        assert trail.report().sound, "a refused attack leaves the trail as it was"
        with guards.lifted([guarded.table for guarded in guards.APPEND_ONLY], connection):
            attack.act(trail)
    else:
        attack.act(trail)
    report = trail.report()
    assert {finding.check for finding in report.findings} == attack.seen_by
    first = str(report.findings[0])
    if isinstance(attack.first, tuple):
        task, seq = attack.first
        assert first.startswith(f"{getattr(trail, task)}, event {seq}")
    else:
        assert attack.first in first
    take_away(attack.seen_by, monkeypatch)
    assert trail.report().sound, "the control: nothing else of the verifier finds it"


def test_it_knows_at_least_the_twenty_attacks() -> None:
    assert len(HERE) >= 20
    every_check = {name for attack in ATTACKS for name in attack.seen_by}
    assert every_check == {
        "order", "hash_fits", "place", "head", "eventless", "row", "audit", "stray", "signature", "coverage", "gapless",
        "against", "guards",
    }  # fmt: skip


def test_it_recognises_an_older_copy_of_the_database(
    trail: Trail,
    bot: Actor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    """A restored backup is sound in itself; what was kept elsewhere shows that it is old."""
    point = transaction.savepoint()
    comment_on_task(trail.b, bot, "and again")
    call_command("audit_checkpoint")
    elsewhere = tmp_path / "sent.json"
    elsewhere.write_text(capsys.readouterr().out)
    call_command("audit_verify", "--against", str(elsewhere))
    transaction.savepoint_rollback(point)
    assert verify.verify().sound
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        call_command("audit_verify", "--against", str(elsewhere))
    assert "an older copy was restored" in capsys.readouterr().out
    (tmp_path / "last-checkpoint.json").write_text(elsewhere.read_text())
    with pytest.raises(SystemExit, match="1"):
        call_command("audit_verify")


def test_its_command_names_the_first_bad_row(trail: Trail, capsys: pytest.CaptureFixture[str]) -> None:
    with guards.lifted([EVENTS], connection):
        update(trail)
    for arguments in ((), ("--task", trail.a)):
        with pytest.raises(SystemExit, match="1"):
            call_command("audit_verify", *arguments)
        out = capsys.readouterr().out
        assert f"First bad row: {trail.a}, event 4: it was edited: its hash does not fit its columns" in out
    call_command("audit_verify", "--task", trail.b)


def test_it_cannot_see_what_is_rewritten_before_the_next_checkpoint(trail: Trail) -> None:
    """The window that docs/audit.md speaks of: kept as a test, so that the page stays honest."""
    head = FeedHead.objects.get(pk=1).last_position
    with guards.lifted([EVENTS, AUDIT], connection):
        forget(trail.event("c", 3))
    assert FeedHead.objects.get(pk=1).last_position == head
    assert trail.report().sound
    assert HumanTask.objects.get(pk=trail.c).last_event_seq == 2
