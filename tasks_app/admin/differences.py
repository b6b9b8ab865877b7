"""What differs among similar tasks: the values in which one is unlike most of the others. Pure; no database here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_LEAVES: Final = 80
MAX_SHOWN: Final = 3
MAX_TEXT: Final = 60


@dataclass(frozen=True)
class Difference:
    """One value by which a task stands out."""

    name: str
    value: str


def leaves_of(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The single values in nested data with their dotted names: at most 80."""
    number = 0
    waiting: list[tuple[str, Any]] = [(f"{prefix}{name}", value) for name, value in data.items()]
    while waiting and number < MAX_LEAVES:
        name, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting[:0] = [(f"{name}.{inner}", item) for inner, item in value.items()]
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            waiting[:0] = [(f"{name}.{place}", item) for place, item in enumerate(value, 1)]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield name, shown[:MAX_TEXT]
            number += 1


def words_of(text: str) -> Iterator[tuple[str, str]]:
    """The words of an error by place: alike but for numbers, similar texts have as many."""
    for place, word in enumerate(text.split()[:MAX_LEAVES]):
        yield f"#{place}", word[:MAX_TEXT]


def differences(tasks: Sequence[Mapping[str, str]]) -> list[list[Difference]]:
    """For each task the values in which it is unlike more than half of the others, three at most.

    A value that is everybody's own, such as an id, tells nobody apart; nor does one without a usual value.
    """
    names = dict.fromkeys(name for task in tasks for name in task)
    usual: dict[str, str] = {}
    for name in names:
        counted = Counter(task.get(name, "") for task in tasks)
        value, number = counted.most_common(1)[0]
        if len(counted) > 1 and 2 * number > len(tasks):
            usual[name] = value
    found = []
    for task in tasks:
        unlike = [Difference(name, task.get(name, "") or "–") for name in usual if task.get(name, "") != usual[name]]
        found.append(unlike[:MAX_SHOWN])
    return found
