"""What the system itself gives as the reason of a change: written in English, read in the reader's own language.

A reason is hashed with its event and goes to adapters, auditors and people of several languages: so it is stored in
one, whoever's request or timer wrote it. The sentences stand here; `shown` finds the one that a stored reason was made
from and says it in the language of whoever reads. What people wrote themselves matches none of them and stays.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from django.utils.translation import get_language, gettext, override
from django.utils.translation import gettext_noop as _

from tasks_app.states import EventType, Resolution

# -- timers
FOLLOWED_UP: Final = _("its follow-up time has come")
NOBODY_DECIDED: Final = _("nobody decided in time")
NOBODY_DECIDED_WITHIN: Final = _("nobody decided within %(n)d hours")
EXPIRES_AT: Final = _("it expires at %(end)s unless it is decided or extended")
OVERDUE_SINCE: Final = _("overdue since %(due)s")
UNTOUCHED_FOR: Final = _("untouched for %(n)d minutes")
GOES_BACK_AT: Final = _("untouched; it goes back to the queue at %(moment)s")
# -- steps of a policy: `at 80 %: due 2026-03-02 12:00 UTC`, for a channel `ops: at 80 %: due ...`
AT_PERCENT: Final = _("at %(n)d %%")
AT_DEADLINE: Final = _("at the deadline")
BEFORE_DEADLINE: Final = _("%(n)d min before the deadline")
AFTER_DEADLINE: Final = _("%(n)d min after the deadline")
DUE: Final = _("due %(deadline)s")
ASSIGN_BY: Final = _("to be assigned by %(deadline)s")
# -- promises
POLICIES_CHANGED: Final = _("deadline policies were changed")
POLICY_CHANGED: Final = _("the policy “%(name)s” was changed by %(person)s")
CALENDAR_CHANGED: Final = _("the calendar “%(name)s” was changed by %(person)s")
TYPE_CHANGED: Final = _("the task type “%(name)s” was changed by %(person)s")
# -- reports of the same problem
REPORTED_AGAIN: Final = _("reported again")
REPORTED_TIMES: Final = _("reported %(n)d times")
# -- decisions
DIFFERS: Final = _("The second decision differs from the first: %(second)s instead of %(first)s.")
STAGED: Final = _("%(what)s, unless it is taken back within %(seconds)d s")
TAKEN_BACK: Final = _("it was decided: %(what)s")
OVERTAKEN_BY: Final = _("%(who)s: %(what)s")
OVERTAKEN: Final = _("the system: %(what)s")
MAY_NOT_DECIDE: Final = _("%(person)s may no longer decide this task")
NOTHING_WAITS: Final = _("nothing waits")
# -- people and tasks that leave
DEACTIVATED: Final = _("the account was deactivated")
MAY_NOT_WORK: Final = _("its holder may no longer work on it")
LEFT_TEAM: Final = _("no longer works for the team %(team)s")
KEPT_FOR: Final = _("kept for %(days)d days after its end")

SENTENCES: Final = tuple(value for name, value in list(globals().items()) if name.isupper() and name[0] != "_")
_PLACE: Final = re.compile(r"%\((\w+)\)([ds])")
_MOMENTS: Final = frozenset({"deadline", "due", "end", "moment"})
# The parts of a reason that is made of several sentences.
_BETWEEN: Final = ": "


def when(percent: int | None, offset: timedelta | None, say: Callable[[str], str] = str) -> str:
    """When a step is taken: in English, or as `say` says it."""
    if percent is not None:
        return say(AT_PERCENT) % {"n": percent}
    minutes = (offset or timedelta()) // timedelta(minutes=1)
    sentence = AT_DEADLINE if minutes == 0 else BEFORE_DEADLINE if minutes < 0 else AFTER_DEADLINE
    return say(sentence) % {"n": abs(minutes)}


def moment(at: datetime | None) -> str:
    """A moment as reasons name it."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def word(label: Any) -> str:
    """A label of an enumeration as a word within a reason."""
    with override("en"):
        return str(label).lower()


def shown(reason: str) -> str:
    """A stored reason for whoever reads now."""
    if not reason or (get_language() or "en").startswith("en"):
        return reason
    said, newline, rest = reason.partition("\n")
    whole = _said(said)
    parts = (_said(part) or part for part in said.split(_BETWEEN))
    return (whole or _BETWEEN.join(parts)) + newline + rest


def _said(text: str) -> str:
    """The text in the reader's language; empty where it is none of the sentences."""
    for pattern, sentence in _patterns():
        match = pattern.fullmatch(text)
        if match is not None:
            words = _words()
            values: dict[str, Any] = dict(match.groupdict())
            if "what" in values:
                if values["what"] not in words:
                    continue
                values["what"] = str(words[values["what"]]).lower()
            return _PLACE.sub(r"%(\1)s", gettext(sentence)) % values
    return ""


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """A pattern for each sentence, the longest first, so that the most particular one is found."""
    return [(_pattern(sentence), sentence) for sentence in sorted(SENTENCES, key=len, reverse=True)]


def _pattern(sentence: str) -> re.Pattern[str]:
    """Texts and places by turns: numbers and moments are known by their form, names are anything."""
    texts, names, kinds = (_PLACE.split(sentence)[start::3] for start in range(3))
    found = re.escape(texts[0].replace("%%", "%"))
    for name, kind, text in zip(names, kinds, texts[1:], strict=True):
        form = r"\d+" if kind == "d" else r"\d{4}-\d\d-\d\d \d\d:\d\d UTC" if name in _MOMENTS else ".+"
        found += f"(?P<{name}>{form})" + re.escape(text.replace("%%", "%"))
    return re.compile(found)


@cache
def _words() -> dict[str, Any]:
    """The labels that reasons name, by the word that is stored."""
    return {word(label): label for label in (*(kind.label for kind in EventType), *(one.label for one in Resolution))}
