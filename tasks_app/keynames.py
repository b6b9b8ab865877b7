"""Reads key names: which give a secret away, and what the others say about the value under them.

One judgement for JSON keys, `name=value` assignments, XML elements and command-line options, so that the same name
never counts in one place and not in the other. Part of masking.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-zß-öø-ÿ])|[A-Z]?[a-zß-öø-ÿ]+|\d+")
_LONGEST_NAME = 120


def word_set(words: str) -> frozenset[str]:
    """The words of a line, as a set."""
    return frozenset(words.split())


# The last word alone is enough.
_STRONG = word_set(
    "password passwords passwd passphrase passcode pwd passwort kennwort contraseña contrasena senha wachtwoord "
    "secret secrets apikey apikeys accesskey secretkey privatekey "
    "signingkey clientsecret authtoken accesstoken refreshtoken bearer jwt authorization authentication auth "
    "credential credentials cookie cookies otp totp cvv cvc cvv2 csc sessionid jsessionid phpsessid connectionstring"
)
# The last two words together.
_PAIRS = frozenset(
    {
        *(
            f"{word} key"
            for word in word_set("api access secret private signing signature encryption account shared app")
        ),
        *(f"{word} keys" for word in word_set("api access secret private signing encryption")),
        *(f"{word} pass" for word in word_set("db database smtp ftp sftp user admin proxy")),
        *(f"{word} code" for word in word_set("security verification mfa authorization auth card")),
        *("session id", "connection string", "recovery codes", "backup codes", "pass phrase", "pass word"),
    }
)
_ID_NAMES = frozenset(
    {
        *(
            "ssn",
            "nino",
            "tin",
            "itin",
            "aadhaar",
            "cpf",
            "bsn",
            "pesel",
            "personnummer",
            "passport",
            "passport number",
        ),
        *("passport no", "social security", "social security number", "national id", "national id number", "tax id"),
        *("tax number", "driver license", "drivers license", "driving licence"),
    }
)
_CARD_NAMES = frozenset({"card number", "card no", "cardnumber", "creditcard", "credit card", "debit card", "card pan"})
# A token that counts, pages or measures is none: `next_page_token`, `max_tokens`, `prompt_tokens`.
_NOT_A_TOKEN = word_set(
    "page next prev previous continuation cursor pagination sync max min total prompt completion input output cached "
    "reasoning token unexpected html"
)
# `password_hash`, `secret_value`, `token2` name the same thing as the word they follow.
_TAILS = word_set(
    "hash hashed value text plain plaintext raw new old current confirm confirmation encrypted base64 b64 string"
)


def words_of(name: str) -> tuple[str, ...]:
    """The words of a key in lower case: `clientSecret`, `client-secret` and `CLIENT_SECRET` are all client, secret."""
    return tuple(word.lower() for word in _WORD.findall(name[-_LONGEST_NAME:]))


@lru_cache(maxsize=4096)
def secret_kind(name: str) -> str | None:
    """The kind of secret that stands under this key, or None. The last words decide: `token_count`, `token_type` and
    `tokenizer` are no secrets; `X-Api-Key`, `dbPassword` and `secret_value` are."""
    words = words_of(name)
    while len(words) > 1 and (words[-1] in _TAILS or words[-1].isdigit()):
        words = words[:-1]
    if not words:
        return None
    last, ends = words[-1], {words[-1], " ".join(words[-2:]), " ".join(words[-3:])}
    if ends & _ID_NAMES:
        return "national id"
    if ends & _CARD_NAMES:
        return "card"
    if last in {"token", "tokens"}:
        return None if len(words) > 1 and words[-2] in _NOT_A_TOKEN else "credential"
    return "credential" if last in _STRONG or ends & _PAIRS or words == ("pass",) else None


def secret_number(name: str) -> bool:
    """Whether a number under this secret key is masked too: `"tokens": 812` is a count, `"password": 1234` is not."""
    return "tokens" not in words_of(name)


@dataclass(frozen=True, slots=True)
class Hint:
    """What the key of a value says about it."""

    phone: bool = False
    card: bool = False
    ident: bool = False
    measure: bool = False
    version: bool = False


_PHONE_KEYS = word_set(
    "phone phones telephone tel mobile cell cellphone fax msisdn whatsapp sms phonenumber mobilenumber"
)
_CARD_KEYS = word_set("card pan cc creditcard")
_ID_KEYS = word_set("id ids uid uuid guid gid cid eid key ref reference code sku ean gtin upc isbn")
# With a number behind it, such a word names an id: `po_number`, `invoiceNo`.
_NUMBERED = word_set(
    "po order invoice ticket account customer campaign case contract purchase serial reference item line job batch"
)
_MEASURES = word_set(
    "amount micros budget cost costs price bid bids cpm cpc revenue spend spent total size width height w h bytes "
    "length count impressions clicks views quantity goal limit timestamp time at ms us ns date day datetime created "
    "updated start end expires expiry duration offset position percent rate ratio score lat lon latitude longitude"
)
_VERSIONS = word_set("version versions release build sdk firmware")


@lru_cache(maxsize=4096)
def hint_of(name: str) -> Hint:
    """Read a key: its last word says what the value is; any word may say that it is about a phone or a card."""
    words = words_of(name)
    last, some = words[-1] if words else "", set(words)
    if last not in {"id", "ids"} and some & (_PHONE_KEYS | _CARD_KEYS):
        return Hint(phone=bool(some & _PHONE_KEYS), card=bool(some & _CARD_KEYS))
    ident = last in _ID_KEYS or (last in {"number", "no", "nr"} and bool(some & _NUMBERED))
    return Hint(ident=ident, measure=last in _MEASURES, version=bool(some & _VERSIONS))
