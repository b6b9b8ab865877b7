"""From rounds to figures: medians, spread, ratios, the Markdown table and latest.json."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench import chart

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
CHART = Path(__file__).parent.parent / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
FLOORS = {"create": 0.07, "claim": 0.08}
"""What the stock project must reach of the database's limit for a comparison with it to count."""

PACKAGES = ("Django", "djangorestframework", "psycopg", "gunicorn", "django-fsm-2", "django-auditlog", "orjson")


class WeakOpponentError(Exception):
    """The stock project was too slow in this run for a comparison with it to mean anything; nothing was written."""

    def __init__(self, shortfalls: list[str]) -> None:
        super().__init__(
            f"{self.__doc__[:-1] if self.__doc__ else ''}: {'; '.join(shortfalls)}. Try a quieter machine."
        )


@dataclass
class Figures:
    """All rounds of one work at one size, by contender. Round i of each contender was measured within seconds."""

    work: str
    size: int
    rounds: dict[str, list[float]] = field(default_factory=dict)
    p99_ms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, contender: str, per_s: float, p99_ms: float | None = None) -> None:
        self.rounds.setdefault(contender, []).append(per_s)
        if p99_ms is not None:
            self.p99_ms.setdefault(contender, []).append(p99_ms)

    def per_s(self, contender: str) -> float | None:
        return median(self.rounds[contender]) if self.rounds.get(contender) else None

    def ratios(self, contender: str, base: str) -> list[float]:
        """Round by round, so that a slow moment of the machine strikes both sides of a ratio."""
        pairs = zip(self.rounds.get(contender, []), self.rounds.get(base, []), strict=False)
        return [mine / other for mine, other in pairs if other]

    def ratio(self, contender: str, base: str) -> float | None:
        found = self.ratios(contender, base)
        return median(found) if found else None

    def best_ratio(self, contender: str, base: str) -> float:
        """Best round against best round: what each reaches undisturbed, as neighbours only ever slow."""
        return max(self.rounds[contender]) / max(self.rounds[base])


def check_floors(figures: list[Figures]) -> None:
    """Raise WeakOpponentError where the stock project's best round is below its floor of the limit's best round."""
    shortfalls = []
    for work, floor in FLOORS.items():
        reached = [each.best_ratio("naive", "limit") for each in figures if each.work == work]
        if reached and max(reached) < floor:
            shortfalls.append(f"{work} reached {max(reached):.1%} of the limit, the floor is {floor:.0%}")
    if shortfalls:
        raise WeakOpponentError(shortfalls)


def growth(figures: list[Figures], each: Figures) -> float | None:
    """How much longer the work takes at this size than at the smallest, by rounds; None at the smallest."""
    smallest = min((other for other in figures if other.work == each.work), key=lambda other: other.size)
    pairs = list(zip(smallest.rounds.get("ours", []), each.rounds.get("ours", []), strict=False))
    if smallest is each or not pairs:
        return None
    return median(before / now for before, now in pairs)


def results(figures: list[Figures]) -> list[dict[str, object]]:
    """One row per work and size; null where a figure does not apply."""
    return [
        {
            "work": each.work,
            "size": each.size,
            "ours_per_s": rounded(each.per_s("ours"), 1),
            "naive_per_s": rounded(each.per_s("naive"), 1),
            "limit_per_s": rounded(each.per_s("limit"), 1),
            "vs_naive": rounded(each.ratio("ours", "naive"), 2),
            "vs_limit": rounded(each.ratio("ours", "limit"), 4),
            "growth": rounded(growth(figures, each), 2),
        }
        for each in figures
    ]


def details(figures: list[Figures]) -> list[dict[str, object]]:
    """What the medians of `results` were made of."""
    return [
        {
            "work": each.work,
            "size": each.size,
            "naive_vs_limit": rounded(each.ratio("naive", "limit"), 4),
            "rounds": {name: [round(value, 1) for value in values] for name, values in each.rounds.items()},
            "p99_ms": {name: rounded(median(values), 1) for name, values in each.p99_ms.items()},
        }
        for each in figures
    ]


def rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "cpu": processor(), "memory_gb": round(memory), "system": platform.platform()}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def markdown(figures: list[Figures], facts: dict[str, object]) -> str:
    """The table as it stands in the docs: medians per second, the spread of the rounds in brackets."""
    lines = [
        f"Measured {facts['date']} on {facts['machine_text']}; {facts['database']}; {facts['rounds_text']}.",
        "",
        "| work | closed | limit /s | stock /s | stock of limit | ours /s | ours / stock | ours of limit | growth |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in figures:
        ratio = each.ratio("ours", "naive")
        versus = each.ratios("ours", "naive")
        spread = f"{ratio:.2f} ({min(versus):.2f} to {max(versus):.2f})" if ratio is not None else "-"
        cells = [
            each.work, f"{each.size:,}", speed(each, "limit"), speed(each, "naive"),
            percent(each.ratio("naive", "limit")),
            speed(each, "ours"), spread, percent(each.ratio("ours", "limit")), number(growth(figures, each)),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", str(facts["clients_text"]), ""])


def speed(each: Figures, contender: str) -> str:
    value = each.per_s(contender)
    if value is None:
        return "-"
    return f"{value:,.0f} ({min(each.rounds[contender]):,.0f} to {max(each.rounds[contender]):,.0f})"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def crowd_text(crowd: dict[str, Any]) -> str:
    few, many = crowd["clients_4"], crowd["clients_64"]
    return (
        f"Contention beside {crowd['size']:,} closed tasks: 64 clients that take the next task reach "
        f"{many['per_s']:,.0f}/s, {crowd['ratio']:.0%} of what 4 reach ({few['per_s']:,.0f}/s); "
        f"p50 {many['p50_ms']:,.0f} ms, p99 {many['p99_ms']:,.0f} ms; "
        f"{crowd['answers']:,} answers, {crowd['claims']:,} claims in the trail, {crowd['doubles']} tasks given twice."
    )


def slope_text(slope: dict[str, float]) -> str:
    told = ", ".join(f"{work} {times:.2f}" for work, times in slope.items())
    return f"Two processes against one, times as fast (they share the cores with the database): {told}."


ALONE: Final[dict[str, Callable[[Any], str]]] = {"contention": crowd_text, "slope": slope_text}
"""What one contender does by itself, where the run measured it."""


def write(figures: list[Figures], facts: dict[str, Any], folder: Path = RESULTS, *, into_docs: bool = False) -> str:
    """Write latest.json, latest.md and latest.svg, with `into_docs` also the page of the docs; return the Markdown."""
    folder.mkdir(exist_ok=True)
    hardware = machine()
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    text = f"{hardware['cores']} cores ({hardware['cpu']}), {hardware['memory_gb']} GB"
    facts = {"date": now.isoformat().replace("+00:00", "Z"), "machine": hardware, "machine_text": text, **facts}
    alone = [told(facts[name]) for name, told in ALONE.items() if name in facts]
    table = "\n".join([markdown(figures, facts), *(f"{text}\n" for text in alone)])
    document = {**{key: value for key, value in facts.items() if not key.endswith("_text")}, "versions": versions()}
    document |= {"results": results(figures), "details": details(figures)}
    (folder / "latest.json").write_text(json.dumps(document, indent=2) + "\n")
    (folder / "latest.md").write_text(table)
    (folder / "latest.svg").write_text(chart.svg(results(figures)))
    if into_docs:
        PAGE.write_text(with_table(PAGE.read_text(), table))
        CHART.write_text(chart.svg(results(figures)))
    return table


def with_table(page: str, table: str) -> str:
    """The page with the table between its markers."""
    before, rest = page.split(BEGIN, 1)
    _old, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"
