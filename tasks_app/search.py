"""Words in the detail of open tasks, at a cost that neither closed tasks nor long texts raise.

PostgreSQL reads a table of the words of open tasks, which triggers keep (made by a migration, since no other database
has its like). SQLite looks for the words as parts of the texts of the most urgent open tasks. Both read the first 4,000
characters.
"""

from functools import reduce
from operator import and_
from typing import Any, Final

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, Value
from django.db.models.functions import Left

from tasks_app import selectors
from tasks_app.actors import Actor
from tasks_app.models.task import TaskQuerySet

MAX_WORDS: Final = 8
MAX_WORD: Final = 60
READ: Final = 4_000
# As many open tasks are looked through where there is no index of words.
LOOKED_THROUGH: Final = 5_000
# What PostgreSQL's parser would take for a part of an address, a path or a tag: `PermissionError.PERMISSION_DENIED` is
# three words to people.
_JOINERS: Final = "._/-@:?&=#+~<>;,|"
_APART: Final = str.maketrans(dict.fromkeys(_JOINERS, " "))
_FOUND: Final = "SELECT task_id FROM tasks_app_openwords WHERE words @@ to_tsquery('simple'::regconfig, {})"


def words_of(text: str) -> list[str]:
    """The words asked for, at most eight; a text without letters or digits has none."""
    cleaned = "".join(char if char.isalnum() or char == "'" else " " for char in text.translate(_APART).casefold())
    return list(dict.fromkeys(word.strip("'")[:MAX_WORD] for word in cleaned.split() if word.strip("'")))[:MAX_WORDS]


class _HasWords(Func):
    """Whether the text of an open task holds words that begin with each of these."""

    output_field = BooleanField()

    def __init__(self, words: list[str]) -> None:
        quoted = " & ".join(f"""'{word.replace("'", "''")}':*""" for word in words)
        super().__init__(F("task_id"), Value(quoted))

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> tuple[str, Any]:
        (task_id, _none), (query, parameters) = map(compiler.compile, self.get_source_expressions())
        # An array, so that the words are looked up first: the planner knows little of how often one occurs.
        return f"({task_id} = ANY(ARRAY({_FOUND.format(query)})))", parameters


def with_words(tasks: TaskQuerySet, words: list[str]) -> TaskQuerySet:
    """Of `tasks`, a bounded set, those whose error or operation has all the words, as parts of the text."""
    has_all = reduce(and_, (Q(_text__icontains=word) | Q(operation__icontains=word) for word in words))
    return tasks.alias(_text=Left("error_detail", READ)).filter(has_all)


def open_with_words(actor: Actor, words: list[str]) -> TaskQuerySet:
    """The open tasks in the actor's sight with all the words, in the queue's order."""
    if connection.vendor == "postgresql":
        return selectors.open_tasks(actor).filter(_HasWords(words)).in_queue_order()
    nearest = selectors.open_tasks(actor).in_queue_order().values("pk")[:LOOKED_THROUGH]
    return with_words(selectors.open_tasks(actor).filter(pk__in=nearest), words).in_queue_order()


def beyond_reach(actor: Actor) -> int:
    """How many open tasks were looked through, where that is not all of them; 0: all. The page owes its reader that."""
    if connection.vendor == "postgresql":
        return 0
    beyond = selectors.open_tasks(actor).in_queue_order().values("pk")[LOOKED_THROUGH : LOOKED_THROUGH + 1]
    return LOOKED_THROUGH if beyond else 0


def closed_with_words(actor: Actor, words: list[str]) -> TaskQuerySet:
    """The same among what ended lately."""
    return with_words(selectors.recently_closed(actor), words)
