"""What follows an attempt: the schedule, who is retried, who is not."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from notifications import backoff
from notifications.backoff import MAX_ATTEMPTS, SCHEDULE, Decision, Outcome, next_attempt

NOW = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def decide(attempt_no: int = 1, status: int | None = 500, retry_after: str | None = None, seed: int = 1) -> Decision:
    return next_attempt(attempt_no, NOW, status=status, retry_after=retry_after, rng=random.Random(seed))


def wait(decision: Decision) -> timedelta:
    assert decision.next_at is not None
    return decision.next_at - NOW


def test_it_keeps_the_published_schedule() -> None:
    seconds = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert [step.total_seconds() for step in SCHEDULE] == seconds
    assert sum(seconds) / 3600 > 75


@pytest.mark.parametrize("attempt_no", range(1, MAX_ATTEMPTS))
def test_it_waits_as_scheduled_within_a_fifth_either_way(attempt_no: int) -> None:
    waits = [wait(decide(attempt_no, seed=seed)) for seed in range(400)]
    planned = SCHEDULE[attempt_no]
    assert planned * 0.8 <= min(waits) < planned * 0.85
    assert planned * 1.15 < max(waits) <= planned * 1.2


def test_it_would_send_one_wave_without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without jitter the spread that the test above asks for is gone."""
    monkeypatch.setattr(backoff, "JITTER", 0)
    assert {wait(decide(3, seed=seed)) for seed in range(50)} == {SCHEDULE[3]}


def test_it_gives_up_after_the_tenth_attempt() -> None:
    assert decide(10) == Decision(Outcome.GIVE_UP)
    assert decide(10, retry_after="5") == Decision(Outcome.GIVE_UP)
    assert decide(11) == Decision(Outcome.GIVE_UP)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
def test_it_takes_only_2xx_as_delivered(status: int) -> None:
    assert decide(1, status) == Decision(Outcome.DELIVERED)
    assert decide(10, status) == Decision(Outcome.DELIVERED)


@pytest.mark.parametrize(
    "status", [None, 0, 199, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 409, 418, 500, 503, 600]
)
def test_it_retries_every_failure_and_redirects_are_failures(status: int | None) -> None:
    assert decide(1, status).outcome is Outcome.RETRY
    assert decide(1, status).throttle_until is None
    assert decide(10, status).outcome is Outcome.GIVE_UP


@pytest.mark.parametrize("attempt_no", [1, 5, 10])
def test_it_disables_an_endpoint_that_is_gone(attempt_no: int) -> None:
    assert decide(attempt_no, 410) == Decision(Outcome.DISABLE)


@pytest.mark.parametrize("status", [429, 502, 504])
def test_it_throttles_an_overloaded_endpoint(status: int) -> None:
    assert decide(1, status).throttle_until == NOW + backoff.THROTTLE
    assert decide(1, status, "120").throttle_until == NOW + timedelta(seconds=120)
    assert decide(10, status).throttle_until == NOW + backoff.THROTTLE


def test_it_throttles_on_503_only_when_asked_to_wait() -> None:
    assert decide(1, 503, "60").throttle_until == NOW + timedelta(seconds=60)


def test_it_honours_retry_after_in_seconds() -> None:
    assert 2 * HOUR <= wait(decide(1, 503, "7200")) <= 2 * HOUR * 1.2
    assert 2 * HOUR <= wait(decide(1, 429, " 7200 ")) <= 2 * HOUR * 1.2


def test_it_honours_retry_after_as_a_date() -> None:
    date = format_datetime(NOW + 3 * HOUR, usegmt=True)
    assert 3 * HOUR <= wait(decide(1, 503, date)) <= 3 * HOUR * 1.2


def test_it_reads_a_date_without_a_zone_as_utc() -> None:
    date = (NOW + 3 * HOUR).strftime("%a, %d %b %Y %H:%M:%S -0000")
    assert wait(decide(1, 503, date)) >= 3 * HOUR


def test_it_never_comes_back_sooner_than_scheduled() -> None:
    assert wait(decide(8, 503, "1")) >= SCHEDULE[8] * 0.8
    assert wait(decide(8, 503, format_datetime(NOW - HOUR, usegmt=True))) >= SCHEDULE[8] * 0.8


@pytest.mark.parametrize("retry_after", ["86401", "99999999", "9" * 4000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_it_caps_what_a_receiver_may_ask_for(retry_after: str) -> None:
    decision = decide(1, 429, retry_after)
    assert 24 * HOUR <= wait(decision) <= 24 * HOUR * 1.2
    assert decision.throttle_until == NOW + 24 * HOUR


@pytest.mark.parametrize(
    "retry_after",
    [
        "",
        " ",
        "soon",
        "-5",
        "1.5",
        "1e9",
        "٣",
        "5 minutes",
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "\x00",
        "1 Jan 2020",
    ],
)
def test_it_ignores_a_retry_after_it_cannot_read(retry_after: str) -> None:
    assert wait(decide(1, 503, retry_after)) <= SCHEDULE[1] * 1.2


def test_it_refuses_attempt_zero() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        decide(0)
