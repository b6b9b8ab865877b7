"""The tables against Google's own texts, and the rules that no table can show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from examples import classify
from examples.classify import (
    BY_NAME,
    COMPLIANCE,
    CONFIGURATION,
    CREATIVE,
    CREATIVE_BOOKED,
    CREDENTIALS,
    GIVE_UP,
    PERMISSION,
    PROCEED,
    RETRY,
    Action,
    Verdict,
    classify_format,
    classify_refusal,
    targeting_flags,
)
from examples.feed_corpus import classify_only, load_formats, load_reasons


@pytest.mark.parametrize(
    ("error_string", "verdict"),
    [
        ("PermissionError.PERMISSION_DENIED", PERMISSION),
        ("TeamError.ENTITY_NOT_ON_USERS_TEAMS", PERMISSION),
        ("LineItemOperationError.NOT_ALLOWED", PERMISSION),
        ("AuthenticationError.AUTHENTICATION_FAILED", CREDENTIALS),
        ("AuthenticationError.CONNECTION_ERROR", RETRY),
        ("FeatureError.MISSING_FEATURE", CONFIGURATION),
        ("DaiIngestErrorReason.NO_CDN_CONFIGURATION_FOUND", CONFIGURATION),
        ("QuotaError.EXCEEDED_QUOTA", RETRY),
        ("InternalApiError.TRANSIENT_ERROR", RETRY),
        ("InternalApiError.ERROR_GENERATING_RESPONSE", GIVE_UP),
        ("LineItemError.INVALID_SIZE", GIVE_UP),
        ("SomethingNewError.NEVER_SEEN", GIVE_UP),
    ],
)
def test_it_decides_by_the_error_string(error_string: str, verdict: Verdict) -> None:
    assert classify_refusal(error_string, 500) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(401, CREDENTIALS), (403, PERMISSION), (429, RETRY), (503, RETRY), (400, GIVE_UP), (500, GIVE_UP), (504, GIVE_UP)],
)
def test_it_decides_by_the_status_where_no_error_string_came(status: int, verdict: Verdict) -> None:
    assert classify_refusal("", status) is verdict


def test_it_asks_ad_operations_about_a_permission_with_high_priority() -> None:
    assert (PERMISSION.task_type, PERMISSION.priority) == ("permission_exception", "high")


def rows_that_say(data: Path, pattern: str) -> set[str]:
    """Return the error strings whose reason is explained in these words."""
    return {row["error_string"] for row in load_reasons(data) if re.search(pattern, row["description"])}


def test_it_asks_about_every_reason_that_google_explains_by_a_permission(shared_data: Path) -> None:
    said = rows_that_say(
        shared_data, r"(have|has no|lack of|due to|required) (the required )?permission|is not allowed to"
    )
    assert len(said) >= 10
    assert {name for name in said if classify_refusal(name, 500) is not PERMISSION} == set()


def test_it_asks_about_every_reason_that_google_explains_by_a_feature_that_is_off(shared_data: Path) -> None:
    said = rows_that_say(shared_data, r"(feature|support|sizes|network|features?) .*(not|must be|not been) enabled")
    said |= rows_that_say(shared_data, r"missing a necessary feature|network has not been enabled")
    assert len(said) >= 15
    assert {name for name in said if classify_refusal(name, 500) is not CONFIGURATION} == set()


def test_it_asks_nobody_about_what_google_says_to_repeat(shared_data: Path) -> None:
    said = rows_that_say(shared_data, r"[Pp]lease (re)?try|wait and try|retry the request")
    assert len(said) >= 8
    assert {name for name in said if classify_refusal(name, 500) is not RETRY} == set()


def test_it_repeats_no_change_that_google_says_not_to_repeat(shared_data: Path) -> None:
    said = rows_that_say(shared_data, r"should not retry")
    assert said
    assert {name for name in said if classify_refusal(name, 500).action is Action.RETRY} == set()


def test_it_names_only_reasons_that_exist(shared_data: Path) -> None:
    # RequestError and the like are in the corpus too: a misspelt name in a table would silently match nothing.
    known = {row["error_string"] for row in load_reasons(shared_data)}
    assert set(BY_NAME) - known == set()


def test_it_counts_the_real_input_by_task_type_and_priority(shared_data: Path) -> None:
    tasks, of_formats, of_reasons = classify_only(load_formats(shared_data), load_reasons(shared_data))
    assert tasks == {
        ("creative_approval", "high"): 7,
        ("creative_approval", "medium"): 39,
        ("permission_exception", "high"): 26,
        ("configuration_required", "urgent"): 15,
        ("configuration_required", "medium"): 31,
    }
    assert of_formats == {Action.PROCEED: 23, Action.ASK: 46}
    assert of_reasons == {Action.ASK: 72, Action.RETRY: 25, Action.GIVE_UP: 1143}


def test_it_notices_a_permission_that_falls_out_of_the_table(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "BY_NAME", {})
    with pytest.raises(AssertionError):
        test_it_asks_about_every_reason_that_google_explains_by_a_permission(shared_data)


def a_format(kind: str, *required: str, format_id: str = "some_format") -> dict[str, Any]:
    return {
        "format_id": {"id": format_id},
        "type": kind,
        "assets": [{"asset_type": asset, "required": True} for asset in required]
        + [{"asset_type": "pixel_tracker", "required": False}],
    }


@pytest.mark.parametrize(
    ("creative_format", "verdict"),
    [
        (a_format("display", "image", "url"), PROCEED),
        (a_format("display", "url"), CREATIVE),
        (a_format("display", "html"), CREATIVE),
        (a_format("display", "image", "javascript"), CREATIVE),
        (a_format("display", "text"), CREATIVE),
        (a_format("native", "image", "url"), CREATIVE),
        (a_format("dooh", "image"), CREATIVE_BOOKED),
        (a_format("video", "video", format_id="broadcast_spot_30s"), CREATIVE_BOOKED),
        ({"format_id": {"id": "empty"}, "type": "display"}, CREATIVE),
    ],
)
def test_it_lets_only_a_plain_display_image_run_unseen(creative_format: dict[str, Any], verdict: Verdict) -> None:
    assert classify_format(creative_format) is verdict


@pytest.mark.parametrize(
    ("targeting", "words"),
    [
        ({"segments": ["health.diabetes"]}, "health"),
        ({"segments": ["interest.running", "political:left"]}, "political opinion"),
        ({"age_min": 13}, "minors"),
        ({"special_category": "housing", "postal_codes": ["10115"]}, "narrows an audience for housing"),
    ],
)
def test_it_flags_a_sensitive_targeting_in_words(targeting: dict[str, Any], words: str) -> None:
    assert words in " ".join(targeting_flags(targeting))
    assert COMPLIANCE.task_type == "compliance_review"


@pytest.mark.parametrize(
    "targeting",
    [
        {},
        {"segments": ["interest.healthy_food"]},
        {"age_min": 18},
        {"special_category": "housing"},
        {"postal_codes": ["1"]},
    ],
)
def test_it_flags_no_ordinary_targeting(targeting: dict[str, Any]) -> None:
    assert targeting_flags(targeting) == ()
