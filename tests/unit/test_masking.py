"""Masking: what is cut out, what stays, and that what was cut out can be put back."""

import json
import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn as stdnum_luhn

from tasks_app import credentials, detectors, masking, phones
from tasks_app.keynames import Hint, secret_kind
from tasks_app.masking import mask_fields, mask_json, mask_text, numbers_used, unmask

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"

SECRETS = [
    ("email", "ana.lopez+ads@example.co.uk"),
    ("email", "jörg@bücher.example"),
    ("email", "user%40example.com"),
    ("email", "robot@project-1.iam.gserviceaccount.com"),
    ("phone", "+46 (0)8 928 571 38"),
    ("phone", "+14155552671"),
    ("phone", "(415) 555-2671"),
    ("phone", "415-555-2671"),
    ("phone", "01 84 17 61 18"),
    ("phone", "001-518-640-0854"),
    ("card", "4111111111111111"),
    ("card", "4111 1111 1111 1111"),
    ("card", "5555-5555-5555-4444"),
    ("card", "378282246310005"),
    ("card", "3782 822463 10005"),
    ("card", "6011111111111117"),
    ("iban", "GB29NWBK60161331926819"),
    ("iban", "gb29nwbk60161331926819"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("national id", "460-89-9847"),
    ("national id", "912-70-1234"),
    ("national id", "111.444.777-35"),
    ("national id", "RCCMNL83S18D969H"),
    ("ip", "203.0.113.77"),
    ("ip", "10.1.2.3"),
    ("ip", "2001:db8:85a3::8a2e:370:7334"),
    ("ip", "6e40:4041:c617:e898:c11:40d2:c669:2eb4"),
    ("credential", JWT),
    ("credential", PEM),
    ("credential", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"),
    ("credential", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("credential", "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"),
    ("credential", "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"),
    ("credential", "xoxb-" + "123456789012-abcdefABCDEF"),
    ("credential", "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("credential", "hitl_" + "a1b2c3d4_Zx81kPq0LmNv73RtYw2sQe9"),
    ("credential", "ya29." + "a0AfH6SMBx1yz2Qw3"),
    ("credential", "1//0" + "gdRfT6yhJk3lmn4opQrs5tuv"),
    ("credential", "GOCSPX-" + "abcdefGHIJK123"),
    ("email", "maria.lopez@tigo.com.py"),
    ("credential", "hvs." + "CAESIJ1xY0aBcDeFgHiJkLmNoPqRs"),
    ("credential", "dapi" + "0123456789abcdef0123456789abcdef"),
    ("credential", "pat-na1-" + "11111111-2222-3333-4444-555555555555"),
    ("credential", "0123456789abcdef0123456789abcdef" + "-us14"),
    ("credential", "xkeysib-" + "a1" * 32 + "-AbCdEfGh"),
    ("credential", "glsa_" + "aBcDeFgHiJkLmNoPqRsTuV_0a1b2c3d"),
    ("credential", "NRAK-" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ1"),
    ("credential", "PMAK-" + "0123456789abcdef01234567-0123456789abcdef0123"),
    ("credential", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBGPq\n-----END PGP PRIVATE KEY BLOCK-----"),
]  # fmt: skip

IN_CONTEXT = [
    ("Authorization: Bearer abcdefghijk", "abcdefghijk"),
    ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("sent basic dXNlcjpwYXNzd29yZA== to it", "dXNlcjpwYXNzd29yZA=="),
    ('{"Authorization": "Bearer s3cr3tvalue9"}', "s3cr3tvalue9"),
    ('Authorization: Digest username="u", response="6629fae49393a05"', "6629fae49393a05"),
    ("postgres://svc:hunter2@db.internal/x", "hunter2"),
    ("https://user:p@ss@example.com/path", "p@ss"),
    ("password=correcthorse next", "correcthorse"),
    ("password: correcthorse", "correcthorse"),
    ('"password" : "two words"', "two words"),
    ('{\\"password\\":\\"hunter2\\"}', "hunter2"),
    ("client_secret: 'abc def'", "abc def"),
    ("grant_type=refresh_token&refresh_token=abcdef&x=1", "=abcdef"),
    ("<ns1:password type='text'>open sesame</ns1:password>", "open sesame"),
    ("run --api-key zzzyyyxxx now", "zzzyyyxxx"),
    ("the password is hunter22", "hunter22"),
    ("Cookie: sid=abc; csrf=def", "abc; csrf=def"),
    ("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXX", "B00000000"),
    ("my maestro card is 630427373398", "630427373398"),
    ("Fax: 9498777106", "9498777106"),
    ("call me at 467 3395", "467 3395"),
    ("social security 460 89 9847", "460 89 9847"),
    ("X-Api-Key: abcdef", "abcdef"),
    ("cut-off -----BEGIN PRIVATE KEY-----\nMIIabc", "MIIabc"),
    ("https://discord.com/api/webhooks/123456789012345678/aBcDeFgHiJkLmNoPqRsTuVwXyZ", "aBcDeFgHiJkLmNoPqRsTuVwXyZ"),
    ("https://x.webhook.office.com/webhookb2/1-2@3-4/IncomingWebhook/0123456789abcdef", "0123456789abcdef"),
    ("curl -u svc_gam:Sup3rS3cret! https://api.adserver.example/", "Sup3rS3cret!"),
    ("Your verification code is 493021", "493021"),
    ("Passwort: Sommer2026!", "Sommer2026!"),
    ("contraseña=Verano2026!", "Verano2026!"),
]

INNOCENT = [
    "Upgrade to v1.2.3.4 or version 10.20.30.40",
    "Mozilla/5.0 Chrome/120.0.0.0 Safari/537.36",
    "SDK 7.42.0.1 at 127.0.0.1:8000 and ::1",
    "banner@2x.png does not fit 300x250, 1920x1080 or 970 x 250",
    "{@link AdExclusionRule#allowedLabelIds} @ operations[0].operand",
    "line item 6299717123, order 2375456001, creative 138012345678",
    "customer ID 123-456-7890 has no access",
    "id 4155552671 and campaign 20485739201",
    "2024-01-31T12:34:56Z, 31/01/2024 12:34, 2023-2024, 12:34:56.789012",
    "1700000000, 1700000000123, 1700000000123456789",
    "budget 1 234 567,89 EUR, $1,234,567.89, 4500000000 micros, 12.345.678",
    "123e4567-e89b-12d3-a456-426655440000",
    "task_0190a5f2b3c47def8123456789abcdef",
    "The token: invalid. Authorization: required. password: must be set",
    "Missing secret: none, token=null, Authorization: Bearer token",
    "token_count=5 next_page_token=abc1 max_tokens: 4096 tokenizer: cl100k",
    "std::vector<int> Foo::Bar 11:22:33 aa:bb:cc:dd:ee:ff",
    "HITL_ALLOW_PRIVATE_HOSTS hitl_queue_depth_total_by_team_name",
    "1.2.3.4.5 is an OID, 0.4111111111111111 a fraction",
    "Basic authentication or Bearer authentication is needed, see RFC 6750",
    "ratio 16:9, CPM 4.11, 99.9 %, 10,484,504 bytes, 7412639",
    "windows 0900-1700, en-us0 and fr-us, Passwort: falsch, -u user, user@2x.png, the security code is required",
]


@pytest.mark.parametrize(("kind", "secret"), SECRETS)
def test_it_masks_every_kind_wherever_it_stands(kind: str, secret: str) -> None:
    for text in (secret, f"Error near {secret}, please check.", f"({secret})", f'say "{secret}" twice: {secret}'):
        masked = mask_text(text)
        assert secret not in masked.text
        assert {token.rsplit(" ", 1)[0][1:] for token in masked.originals} == {kind}
        assert unmask(masked.text, masked.originals) == text


@pytest.mark.parametrize(("text", "secret"), IN_CONTEXT)
def test_it_masks_what_its_surroundings_give_away(text: str, secret: str) -> None:
    masked = mask_text(text)
    assert secret not in masked.text
    assert unmask(masked.text, masked.originals) == text


@pytest.mark.parametrize("text", INNOCENT)
def test_it_leaves_ids_amounts_sizes_times_and_prose_alone(text: str) -> None:
    assert mask_text(text).text == text


def test_it_gives_equal_originals_one_placeholder_across_fields() -> None:
    masked = mask_fields({"error_detail": "a@b.example asked c@d.example", "context_data": {"who": ["a@b.example"]}})
    assert masked.values == {"error_detail": "[email 1] asked [email 2]", "context_data": {"who": ["[email 1]"]}}
    assert masked.originals == {"[email 1]": "a@b.example", "[email 2]": "c@d.example"}


def test_it_never_gives_out_a_placeholder_that_the_sender_wrote() -> None:
    text = "[email 1] wrote to x@y.example about [email 2]"
    masked = mask_text(text)
    assert masked.originals == {"[email 3]": "x@y.example"}
    assert unmask(masked.text, masked.originals) == text


def test_it_continues_the_numbering_of_a_task() -> None:
    first = mask_text("a@b.example, c@d.example")
    later = mask_text("and e@f.example from 203.0.113.9", start=numbers_used(first.originals))
    assert later.text == "and [email 3] from [ip 1]"


def test_it_masks_the_whole_value_under_a_secret_key() -> None:
    value: Any = {
        "password": "x", "Client-Secret": "two words", "clientSecret": 1234, "X-Api-Key": ["k1", {"n": "k2"}],
        "db_password": None, "token": True, "SSN": "anything", "cookie": "", "AUTHORIZATION": "Bearer abc",
    }  # fmt: skip
    masked = mask_json(value)
    shown = json.dumps(masked.value)
    assert not re.search(r"two words|1234|k1|k2|anything|abc", shown)
    assert isinstance(masked.value, dict)
    assert masked.value["db_password"] is None
    assert masked.value["token"] is True
    assert masked.value["cookie"] == ""
    assert masked.originals[str(masked.value["clientSecret"])] == "1234"


@pytest.mark.parametrize(
    "name", ["token_count", "tokenizer", "next_page_token", "max_tokens", "token_type", "secretary", "authorized",
             "key", "primary_key", "dedup_key", "idempotency_key", "password_policy", "author", "passenger", "session"]
)  # fmt: skip
def test_it_takes_no_word_for_a_secret_that_only_resembles_one(name: str) -> None:
    assert secret_kind(name) is None
    assert mask_json({name: "value 1"}).originals == {}


def test_it_reads_numbers_by_their_key() -> None:
    value: Any = {
        "payment": 4111111111111111, "as_float": 4111111111111111.0, "phone": 4155552671,
        "line_item_id": 4155552671, "creative_id": 138012345678, "budget_micros": 4111111111111111, "width": 300,
        "po_number": "450-123-4567",
        "created_at": 1700000000123, "ratio": 1.25, "list": [4242424242424242, 7], "tokens": 812,
    }  # fmt: skip
    masked = mask_json(value).value
    assert isinstance(masked, dict)
    assert {key for key in value if masked[key] != value[key]} == {"payment", "as_float", "phone", "list"}


def test_it_masks_personal_data_in_keys_without_merging_them() -> None:
    value: Any = {"by_user": {"a@b.example": 1, "c@d.example": 2, "[email 1]": 3}}
    masked = mask_json(value)
    assert masked.value == {"by_user": {"[email 2]": 1, "[email 3]": 2, "[email 1]": 3}}
    assert unmask(masked.value, masked.originals) == value


@pytest.mark.parametrize("safe", ["ip", "geo.ip", "context_data.geo.ip", "geo", "context_data"])
def test_it_exempts_safe_fields_from_detectors_but_never_from_credentials(safe: str) -> None:
    value: Any = {"context_data": {"geo": {"ip": "203.0.113.9 password=hunter2", "password": "x1"}}}
    masked = mask_fields(value, safe_fields=frozenset({safe})).values
    assert masked == {
        "context_data": {"geo": {"ip": "203.0.113.9 password=[credential 1]", "password": "[credential 2]"}}
    }
    assert "203.0.113.9" not in json.dumps(mask_fields(value, safe_fields=frozenset({"p", "eo.ip"})).values)


def _canaries() -> list[tuple[str, str]]:
    """200 values of all kinds, each different."""
    chance = random.Random(7)
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    made: list[tuple[str, str]] = []
    for i in range(20):
        tail = "".join(chance.choices(letters, k=30)) + "7"
        card = f"4{chance.randrange(10**14):014d}"
        area = chance.randrange(100, 600)
        bban = f"NWBK{chance.randrange(10**14):014d}"
        check = 98 - int("".join(str(int(c, 36)) for c in bban + "GB00")) % 97
        made += [
            ("note", f"canary{i}@example.org"),
            ("note", card + stdnum_luhn.calc_check_digit(card)),
            ("note", f"GB{check:02d}{bban}".lower() if i % 2 else f"GB{check:02d}{bban}"),
            ("note", f"{area}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"),
            ("note", f"{chance.randrange(11, 99)}.{chance.randrange(256)}.{chance.randrange(256)}.{i}"),
            ("note", f"+1 415 555 {2000 + i}"),
            ("note", "sk_live_" + tail),
            ("authorization", "Bearer " + tail[::-1]),
            ("client_secret", f"plain words {i}x"),
            ("note", f"eyJ{tail}.{tail}.{tail}"),
        ]
    return made


def _nested(canaries: list[tuple[str, str]]) -> Any:
    return [{"depth": [{"text": f"Error about {v}; see below"}, {k: v}], "deep": {"er": {k: [v]}}} for k, v in canaries]


def test_it_leaves_none_of_200_planted_values_in_nested_json(monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = _canaries()
    assert len({value for _, value in canaries}) == 200
    shown = json.dumps(mask_json([{key: [value, {"x": {key: value}}]} for key, value in canaries]).value)
    assert [value for _, value in canaries if value in shown] == []
    free = [pair for pair in canaries if pair[0] == "note"]
    shown = json.dumps(mask_json(_nested(free)).value)
    assert [value for _, value in free if value in shown] == []

    # Negative control: without one detector the same check finds what it let through.
    monkeypatch.setattr(detectors, "emails", lambda text, hint, lookups: iter(()))
    shown = json.dumps(mask_json(_nested(free)).value)
    assert sum(value in shown for _, value in free) == 20


PIECES = st.sampled_from(
    [secret for _, secret in SECRETS] + [text for text, _ in IN_CONTEXT] + INNOCENT
    + ["[email 1]", "[card 2]", "[credential 1]", "[", "]", "password=", "Bearer ", "token: ", "Phone: ", "card "]
    + ["://", "@", "+", "1"]
)  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=12), max_size=6).flatmap(
    lambda parts: st.sampled_from(["", " ", "\n", ", ", "-", "="]).map(lambda joint: joint.join(parts))
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_it_can_be_undone_and_done_again(text: str) -> None:
    masked = mask_text(text)
    assert unmask(masked.text, masked.originals) == text
    again = mask_text(masked.text)
    assert again.text == masked.text
    assert again.originals == {}


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_it_passes_over_no_detector_that_would_find_something(text: str) -> None:
    every = (getattr(detectors, name) for name in ("emails", "ibans", "cards", "addresses", "national_ids", "phones"))
    for find in set(every) - set(detectors.detectors_for(text)):
        assert not list(find(text, Hint(), phones.Lookups())), find


KEYS = st.sampled_from(["note", "password", "id", "phone", "amount", "a@b.example", "[email 1]", "token"])
LEAVES = TEXTS | st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.just(4111111111111111)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def _as_text(value: Any) -> Any:
    """Numbers in their decimal form, as the originals keep them."""
    if isinstance(value, dict):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_it_can_be_undone_and_done_again_in_json(value: Any) -> None:
    masked = mask_json(value)
    assert _as_text(unmask(masked.value, masked.originals)) == _as_text(value)
    again = mask_json(masked.value)
    assert again.value == masked.value
    assert again.originals == {}


@given(st.text("0123456789", min_size=2, max_size=25))
def test_it_computes_the_checksum_of_cards_as_python_stdnum_does(digits: str) -> None:
    assert detectors.luhn(digits) == (stdnum_luhn.is_valid(digits) and len(set(digits)) > 1)


def test_it_asks_the_phone_library_only_so_often() -> None:
    numbers = " , ".join(f"phone {i:04d} 75 40 81" for i in range(1, 3000))
    lookups = phones.Lookups()
    found = list(phones.phones(numbers, Hint(), lookups))
    assert lookups.left == 0
    assert len(found) > 2900, "past the limit the shape decides, towards masking"


HOSTILE = [
    "a", "@", "a@", "4111 ", "1 ", "0", "(", "+1 ", "://", "token:", "password=", "eyJ", "eyJaaaaa.", "bearer ",
    "authorization: bearer ", "<a>", "</", "::", "1:", "1.", "GB29", "-----BEGIN A ", "A", "_a", "sk_live_", "--a ",
    "[email 1]", "1-", "%40", "x.y=", "hooks.slack.com/services/", "cookie: a=", "''", "AKIA", "1x", "ab:", "-",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_it_reads_hostile_text_in_linear_work(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts the texts that the detectors read and the cuts they make: eight times the input may cost little more than
    eight times the work. (The patterns themselves are bounded or possessive by construction.)"""

    def work(size: int) -> int:
        read = 0
        cut = masking._Run._cut

        def counting(run: Any, text: str, hits: Any) -> str:
            nonlocal read
            hits = list(hits)
            read += len(text) + len(hits)
            return cut(run, text, hits)

        with monkeypatch.context() as patch:
            patch.setattr(masking._Run, "_cut", counting)
            mask_text((unit * (size // len(unit) + 1))[:size])
        return read

    assert work(32_000) <= 12 * max(work(4_000), 4_000)


@pytest.mark.parametrize(
    "text",
    [
        " ".join(str(10**12 + 7919 * n) for n in range(3000)),  # runs of numbers, some of which pass a card's checksum
        "card " + "1 2 " * 10_000,
        "cpf 52998224725 " * 2_500,
        "".join(f"call +49 30 {1_000_000 + n} " for n in range(2_000)),
    ],
    ids=["numbers", "card", "cpf", "phones"],
)
def test_it_reads_a_long_hostile_text_a_few_times(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cut out must not invite the next reading to cut more: a megabyte of such took 37 seconds once."""
    readings: list[int] = []
    cut = masking._Run._cut

    def counted(self: masking._Run, text: str, hits: Iterable[credentials.Hit]) -> str:
        readings.append(len(text))
        return cut(self, text, hits)

    monkeypatch.setattr(masking._Run, "_cut", counted)
    masking.mask_text(text)
    assert len(readings) <= 40, "three readings by every detector that has something to look for"


def test_a_card_that_was_cut_out_is_no_word_for_the_number_behind_it() -> None:
    """Without "card" beside it, a number that no network issues stays, whatever stood before it."""
    assert mask_text("4111 1111 1111 1111 and 1234567890121233").text == "[card 1] and 1234567890121233"


def test_it_finds_what_is_no_id_also_under_a_safe_id() -> None:
    safe = frozenset({"creative_id", "contact"})
    values: Any = {"contact": "jane@b.example", "creative_id": "jane@b.example", "context_data": {"creative_id": []}}
    values["context_data"]["creative_id"] = ["+44 7700 900123", "4111111111111111", "cr_4155552671", "203.0.113.9"]
    masked = mask_fields(values, safe_fields=safe).values
    assert masked["contact"] == "jane@b.example"
    assert masked["creative_id"] == "[email 1]"
    assert masked["context_data"] == {"creative_id": ["[phone 1]", "4111111111111111", "cr_4155552671", "203.0.113.9"]}
