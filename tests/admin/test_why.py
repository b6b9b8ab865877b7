"""Why a task is there: what was flagged, the policy in words, the ad server's error explained."""

from typing import Any

import pytest

from tasks_app.admin.flagged import parsed_path, sent_by_adapter
from tasks_app.admin.texts import data_table
from tasks_app.knowledge.ad_errors import ERRORS, explain
from tasks_app.knowledge.policies import POLICIES, Policy, policies_in
from tests.admin.conftest import ClientFor, page_of, text_of
from tests.cast import NewTaskFactory

TARGETING = {"geo": ["US-CA"], "audiences": ["Adults 25 to 54", "Chronic pain sufferers"], "age_min": 16}


def marked(context: dict[str, Any]) -> list[tuple[str, str]]:
    """The flagged rows: name, and the flagged piece or the value."""
    found = []
    for section in sent_by_adapter(context).sections:
        for row in section.table.rows:
            if row.is_flagged:
                found += [(row.name, p.text) for p in row.parts if p.is_flagged] or [(row.name, row.value or "")]
    return found


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"flagged": ["targeting.audiences[1]"]}, [("audiences", "Chronic pain sufferers")]),
        ({"flagged": ["/targeting/audiences/1"]}, [("audiences", "Chronic pain sufferers")]),
        ({"flagged": ["$.targeting['audiences'][1]"]}, [("audiences", "Chronic pain sufferers")]),
        ({"flagged": ["context_data.targeting.age_min"]}, [("age_min", "16")]),
        ({"flagged": ["age_min"]}, [("age_min", "16")]),
        ({"flagged": "targeting.age_min"}, [("age_min", "16")]),
        ({"flagged": [{"path": "targeting.age_min", "reason": "minors"}]}, [("age_min", "16")]),
        ({"flags": ["age_min 16 includes minors"]}, [("age_min", "16")]),
        ({"flags": ["segment 'Chronic pain sufferers' is about health"]}, [("audiences", "Chronic pain sufferers")]),
        ({"flagged": ["targeting.audiences"]}, [("audiences", "Adults 25 to 54, Chronic pain sufferers")]),
        (
            {"flagged": ["targeting"]},
            [("geo", "US-CA"), ("audiences", "Adults 25 to 54, Chronic pain sufferers"), ("age_min", "16")],
        ),
        ({"flagged": []}, []),
    ],
)
def test_it_marks_the_flagged_part(flags: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert marked({"targeting": TARGETING, **flags}) == expected


def test_it_puts_the_flagged_table_first_and_says_what_it_does_not_find() -> None:
    flagged = ["parameters.budget", "creative.tone"]
    sent = sent_by_adapter({"note": "x", "parameters": {"budget": 3}, "targeting": TARGETING, "flagged": flagged})
    assert [(section.title, section.is_flagged) for section in sent.sections] == [
        ("Request", True),
        ("Targeting", False),
        ("What the adapter sent", False),
    ]
    assert sent.missing == ["creative.tone"]


ODD_FLAGS: list[Any] = [
    [None, 3, [], {}, {"path": 3}],
    "x" * 5_000,
    {"a": 1},
    ["(", "[[", "..", "targeting.geo[99999999999999999999]"],
]


def test_it_takes_any_flags(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    client = client_for("cora")
    for flags in ODD_FLAGS:
        task = make_task("compliance_review", context_data={"targeting": TARGETING, "flagged": flags})
        assert client.get(page_of(task)).status_code == 200
    assert parsed_path("$") == ()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            "[PermissionError.PERMISSION_DENIED @ lineItems[0].orderId] The user ...",
            "PermissionError.PERMISSION_DENIED",
        ),
        ("[TeamError.ENTITY_NOT_ON_USERS_TEAMS @ order]", "TeamError.ENTITY_NOT_ON_USERS_TEAMS"),
        ("SomeNewError.PERMISSION_DENIED", "SomeNewError.PERMISSION_DENIED"),
        ("AuthenticationError.INVALID_EMAIL", "AuthenticationError.INVALID_EMAIL"),
        ("CREATIVE_REJECTED: too loud", "CREATIVE_REJECTED"),
        ('403 Forbidden: {"error": "API key lacks scope flights:write"}', "403"),
        ("HTTP 429 from upstream", "429"),
        ("A NEW_CODE that nobody knows", None),
        ("Budget rises by 403 %", None),
        ("line item 401 is gone", None),
        ("", None),
    ],
)
def test_it_explains_known_codes_alone(error: str, code: str | None) -> None:
    explained = explain(error)
    assert (None if explained is None else explained.code) == code


def test_it_falls_back_on_the_http_status() -> None:
    assert explain("Forbidden", 403) is not None
    assert explain("Forbidden", True) is None
    assert explain("Forbidden", "403") is None


def test_it_explains_on_the_page(make_task: NewTaskFactory, client_for: ClientFor) -> None:
    task = make_task(
        "compliance_review",
        error_detail="[PermissionError.PERMISSION_DENIED] no",
        context_data={"targeting": TARGETING, "policy_id": "us_fha_targeting", "flagged": ["targeting.age_min", "x.y"]},
    )
    text = text_of(client_for("cora").get(page_of(task))).replace("&#x27;", "'")
    for said in (
        "The adapter's user has no right to do this in the ad server.",
        "US: fair housing",
        "Housing ads must not include or leave out people",
        "age_min flag flagged 16",
        "Flagged, but not in what was sent: x.y",
    ):
        assert said in text, said


def test_it_takes_the_adapters_own_words_on_a_policy() -> None:
    own = {"policy": {"id": "house_rule_7", "name": "No gambling near schools", "description": "Keep 500 m away."}}
    (policy,) = policies_in(own)
    assert policy == Policy("house_rule_7", "No gambling near schools", "Keep 500 m away.")
    alcohol = "us_ttb_alcohol_audience"
    (known,) = policies_in({"policy_id": alcohol, "flags": [{"policy_id": alcohol}]})
    assert known == POLICIES[alcohol]
    assert policies_in({"policies": [None, 3, {"id": []}, "", {"name": "x"}]}) == []
    assert len(policies_in({"policies": [f"p{n}" for n in range(90)]})) == 6


def test_it_says_what_helps_with_each_code() -> None:
    assert len(ERRORS) > 45
    assert all(str(known.means) and str(known.helps) for known in ERRORS.values())


def test_a_hostile_megabyte_of_flags_does_not_keep_a_worker() -> None:
    """Fifty words were looked for in each of 45,000 parts, of which 300 are shown: twenty seconds of processor time."""
    asked: list[object] = []

    def marks(path: tuple[str, ...], value: object) -> bool:
        asked.append(value)
        return False

    table = data_table({f"a_{number}": "value" for number in range(5_000)}, marks)
    assert len(table.rows) + table.omitted == 5_000
    assert len(asked) <= len(table.rows) + 1
