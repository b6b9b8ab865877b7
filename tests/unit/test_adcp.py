"""The Ad Context Protocol: our signatures against its published vectors, our envelope against its published schema.

Source of vectors and rules: github.com/adcontextprotocol/adcp at 4439b187. The vectors are
static/test-vectors/webhook-hmac-sha256.json, the rules core/mcp-webhook-payload.json, enums/task-status.json and
enums/task-type.json below static/schemas/source.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from notifications import adcp, signing
from notifications.payloads import News
from notifications.signing import InvalidSecret, check_credentials, sign_adcp

SECRET = "cc237f7fe354609bb41360c6530a2deb7926f3cc55e91df3ff90e37202950b6c"
EVENT = '{"event":"test"}'
# id -> timestamp, raw body, expected signature: all fifteen positive vectors of the file
VECTORS: dict[str, tuple[int, str, str]] = {
    "compact-js-style": (
        1700000000,
        '{"event":"creative.status_changed","creative_id":"creative_123","status":"approved"}',
        "0987f9b3e89d331142297dbc0e992edbc13b2ae29e7038ed8f948b565aa05c4b",
    ),
    "spaced-python-default": (
        1700000000,
        '{"event": "creative.status_changed", "creative_id": "creative_123", "status": "approved"}',
        "cb4ae9d57971c70226a2aaab646c59c344a4bcf91075adcfc1939e4b3207856d",
    ),
    "empty-object": (1700000000, "{}", "06338bfc687c7a3677ea16420e527469d6717bb966451d29c685de8f0270f073"),
    "nested": (
        1700000000,
        '{"task_id":"task_456","operation_id":"op_789","result":{"media_buy_id":"mb_001",'
        '"packages":[{"package_id":"pkg_1"},{"package_id":"pkg_2"}]}}',
        "87e50a904acee36e04a9a4bb2a02281ac0fbbef0be129258a8500da84567570a",
    ),
    "unicode-utf8": (
        1700000000,
        '{"brand_name":"Café Münchën","tagline":"日本語テスト"}',
        "0e445863247724694581d538497527218443961f15c9645d656b52d8fdca4f9c",
    ),
    "pretty-printed": (
        1700000000,
        '{\n  "status": "completed",\n  "result": {\n    "id": "mb_001"\n  }\n}',
        "0ee5202fd647ce9390bc8b0a220edf5c98c791ffeecbbd781a54c1d9a80cd9e3",
    ),
    "scalars-mixed": (
        1700000000,
        '{"price":19.99,"count":1000,"active":true,"discount":null}',
        "f9dde4b6d4e096d7283fb14cb74b4b143627c17245957e33660a430dfd705d4f",
    ),
    "empty-body": (1700000000, "", "d9f70ba6cb43e92a8f55c1fc73bec0f8f07fa3a652e1ec1d5ee69846cfde9fe8"),
    "timestamp-zero": (0, EVENT, "e098ea1f745765614027918d988930b96c38a2f8e2b5d05560f4bffa53d77dcd"),
    "timestamp-2040": (2208988800, EVENT, "4b9923c61f2d51b20e4df1231827dd8b760b0ab99f80cab739cdead6841f0d69"),
    "null-bytes": (
        1700000000,
        '{"event":"test\x00null"}',
        "8c58874bc393c7941088d48da3af913c4dcb3fb20244bf0ab0543cb872cb5330",
    ),
    "trailing-newline": (
        1700000000,
        EVENT + "\n",
        "a1ea163af47d6b34ce0de5d27c4c88b5dd9f348dd8a2bc2751a71f8f27622738",
    ),
    "compact-whitespace-keys": (
        1700000000,
        '{"key with spaces":1,"nested":{"inner key":[1,2,{"deep key":"v"}],"flag":true}}',
        "5c78d76825b71f081e28376f8ab4a66bfd4efb888e3d212c63a99f94acbf2785",
    ),
    "unicode-ascii-escaped": (
        1700000000,
        '{"name":"caf\\u00e9","region":"\\u65e5\\u672c"}',
        "f079a1c8b2501ac4ac1ba22895853d1901730a3b6db8f3844dfcdb0b213b1c91",
    ),
    "duplicate-keys-conflicting-values": (
        1700000000,
        '{"event":"creative.status_changed","creative_id":"creative_123","status":"approved","status":"rejected"}',
        "7fd84f13f71228b5c0dc24b58acafaa62855b26fe5477a31e88884ed24ae5b7f",
    ),
}

# The envelope as mcp-webhook-payload.json describes it, with the enums that it refers to.
ENVELOPE = {
    "type": "object",
    "required": ["idempotency_key", "operation_id", "task_id", "task_type", "status", "timestamp"],
    "properties": {
        "idempotency_key": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{16,255}$"},
        "notification_id": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,255}$"},
        "operation_id": {"type": "string"},
        "task_id": {"type": "string"},
        "task_type": {"enum": sorted(adcp.TASK_TYPES)},
        "protocol": {
            "enum": [
                "media-buy",
                "signals",
                "governance",
                "creative",
                "brand",
                "sponsored-intelligence",
                "measurement",
            ]
        },
        "status": {
            "enum": [
                "submitted",
                "working",
                "input-required",
                "completed",
                "canceled",
                "failed",
                "rejected",
                "auth-required",
                "unknown",
            ]
        },
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"},
        "message": {"type": "string"},
        "context_id": {"type": "string"},
        "token": {"type": "string", "minLength": 16, "maxLength": 4096},
        "result": {"type": "object"},
    },
}
PUBLISHED_TASK_TYPES = [
    "create_media_buy",
    "update_media_buy",
    "buy_products",
    "accept_proposal",
    "control_media_buy",
    "media_buy_delivery",
    "sync_creatives",
    "build_creative",
    "preview_creative",
    "activate_signal",
    "get_products",
    "request_proposals",
    "refine_proposals",
    "decline_proposals",
    "get_signals",
    "create_property_list",
    "update_property_list",
    "get_property_list",
    "list_property_lists",
    "delete_property_list",
    "sync_accounts",
    "get_account_financials",
    "get_creative_delivery",
    "sync_event_sources",
    "sync_audiences",
    "sync_catalogs",
    "log_event",
    "get_brand_identity",
    "search_brands",
    "get_rights",
    "acquire_rights",
    "update_rights",
    "sync_agent_notification_configs",
]

TASK = {
    "task_id": "task_1",
    "task_type_id": "creative_approval",
    "principal_id": "acme_corp",
    "adapter_name": "kevel",
    "media_buy_id": "mb_1",
    "creative_id": "cr_1",
    "operation": "",
    "error_detail": "",
    "requested_by_id": 1,
}
NEWS = News(
    "evt_1", "task.failed", 3, datetime(2026, 3, 2, 12, tzinfo=UTC), {"resolution": "rejected", "priority": 2}, TASK
)
KEY = "whk_0123456789abcdef"


def envelope(news: News = NEWS, *, token: str = "", **snapshot: Any) -> dict[str, Any]:
    news = replace(news, snapshot={**news.snapshot, **snapshot})
    message: dict[str, Any] = orjson.loads(adcp.body(news, idempotency_key=KEY, token=token))
    Draft7Validator(ENVELOPE).validate(message)
    return message


@pytest.mark.parametrize("name", VECTORS)
def test_it_signs_like_the_published_vectors(name: str) -> None:
    timestamp, body, expected = VECTORS[name]
    headers = sign_adcp(SECRET, timestamp, body.encode())
    assert headers == {"x-adcp-signature": f"sha256={expected}", "x-adcp-timestamp": str(timestamp)}


@pytest.mark.parametrize("wrong", [("1700000000:", "{}"), ("", "{}"), ("1700000000.", "{ }")])
def test_it_would_not_agree_with_the_vectors_over_other_bytes(
    wrong: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: another separator, no timestamp, or re-written JSON gives another signature than the vector."""
    import hashlib
    import hmac

    signed = hmac.new(SECRET.encode(), "".join(wrong).encode(), hashlib.sha256).hexdigest()
    assert signed != VECTORS["empty-object"][2]
    assert signing.sign_adcp(SECRET, 1700000000, b"{}")["x-adcp-signature"] != f"sha256={signed}"


@pytest.mark.parametrize(
    "secret", ["1234567890abcdef1234567890abcde", "", "0" * 32, "a" * 32, "x" * 20 + " " + "y" * 20, "k\n" * 20]
)
def test_it_refuses_the_secrets_that_the_vectors_reject(secret: str) -> None:
    with pytest.raises(InvalidSecret):
        check_credentials(secret)


def test_it_makes_credentials_that_it_accepts() -> None:
    check_credentials(signing.new_credentials())
    check_credentials(SECRET)


@pytest.mark.parametrize(
    ("resolution", "status"),
    [
        ("", "submitted"),
        ("approved", "completed"),
        ("completed", "completed"),
        ("rejected", "rejected"),
        ("cannot_complete", "failed"),
        ("expired", "failed"),
        ("withdrawn", "canceled"),
    ],
)
def test_it_says_how_the_task_stands_in_the_protocol_s_words(resolution: str, status: str) -> None:
    message = envelope(resolution=resolution)
    assert message["status"] == status
    assert ("notification_id" in message) == bool(resolution)
    assert message["ext"]["hitl"] == {
        "task_id": "task_1",
        "task_type": "creative_approval",
        "resolution": resolution or None,
        "seq": 3,
    }
    errors = message.get("result", {}).get("errors", [])
    assert [set(error) for error in errors] == [{"code", "message", "recovery"}] * (status in ("rejected", "failed"))


def test_it_knows_the_published_task_types() -> None:
    assert sorted(adcp.TASK_TYPES) == sorted(PUBLISHED_TASK_TYPES)


@pytest.mark.parametrize(
    ("echo", "operation", "task_type", "expected", "protocol"),
    [
        ({}, "update_media_buy", "permission_exception", "update_media_buy", "media-buy"),
        ({}, "create_line_item", "permission_exception", "create_media_buy", "media-buy"),
        ({}, "", "creative_approval", "sync_creatives", "media-buy"),
        ({"task_type": "activate_signal"}, "create_media_buy", "permission_exception", "activate_signal", "signals"),
        ({"task_type": "no such"}, "build_creative", "creative_approval", "build_creative", "creative"),
        ({"task_type": "sync_accounts"}, "", "creative_approval", "sync_accounts", None),
    ],
)
def test_it_names_the_operation_as_the_protocol_does(
    echo: dict[str, str], operation: str, task_type: str, expected: str, protocol: str | None
) -> None:
    message = envelope(replace(NEWS, task={**TASK, "operation": operation, "task_type_id": task_type}, echo=echo))
    assert (message["task_type"], message.get("protocol")) == (expected, protocol)


def test_it_echoes_what_the_buyer_gave_unchanged() -> None:
    context = {"trace_id": "é 1", "nested": [1, {"a": None}]}
    given = {"operation_id": "op_9", "task_id": "buyer_1", "context": context, "context_id": "c.1", "token": "t" * 16}
    message = envelope(replace(NEWS, echo=given), token="of the endpoint!")
    assert {name: message[name] for name in given} == given
    assert message["notification_id"] == "buyer_1.terminal"
    assert "token" not in envelope()
    assert envelope(token="of the endpoint!")["token"] == "of the endpoint!"


@pytest.mark.parametrize(
    "echo",
    [
        {"operation_id": "no spaces", "task_id": "", "token": "[credential 1]", "context_id": "a b", "context": "text"},
        {"operation_id": 7, "task_id": ["x"], "token": None, "context_id": "x" * 256, "context": {"big": "x" * 70_000}},
    ],
)
def test_it_leaves_out_what_the_protocol_would_not_accept(echo: dict[str, Any]) -> None:
    message = envelope(replace(NEWS, echo=echo))
    assert (message["operation_id"], message["task_id"]) == ("task_1", "task_1")
    assert not {"token", "context", "context_id"} & set(message)
