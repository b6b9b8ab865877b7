"""The figures as a picture: how many times as fast as the stock project, and what a million closed tasks cost."""

from __future__ import annotations

from html import escape
from typing import Any

WIDTH, LINE, LEFT = 760, 26, 130
BAR, GRID, TEXT, SOFT = "#4f5bd5", "#d0d4dd", "#1f2430", "#5b6372"


def svg(results: list[dict[str, Any]]) -> str:
    """Two groups of bars from the rows of the largest size."""
    largest = max(row["size"] for row in results)
    rows = [row for row in results if row["size"] == largest]
    times = [(row["work"], row["vs_naive"]) for row in rows if row["vs_naive"] is not None]
    grown = [(row["work"], row["growth"]) for row in rows if row["growth"] is not None]
    parts: list[str] = []
    y = group(parts, f"Times as fast as the stock project, beside {largest:,} closed tasks", times, 1.0, 20)
    y = group(
        parts,
        f"Time beside {largest:,} closed tasks over the time beside the fewest (1.0: no growth)",
        grown,
        1.0,
        y + 20,
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
    head += 'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="Results of the benchmark">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>', *parts, "</svg>", ""])


def group(parts: list[str], title: str, bars: list[tuple[str, float]], mark: float, y: int) -> int:
    """Append one group; return where the next may begin. A line stands at `mark`."""
    if not bars:
        return y
    scale = (WIDTH - LEFT - 70) / max(mark, *(value for _name, value in bars))
    parts.append(f'<text x="12" y="{y + 8}" font-weight="600" fill="{TEXT}">{escape(title)}</text>')
    top = y = y + 22
    for name, value in bars:
        length = max(1.0, value * scale)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end" fill="{TEXT}">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{length:.0f}" height="{LINE - 8}" rx="3" fill="{BAR}"/>')
        parts.append(f'<text x="{LEFT + length + 6:.0f}" y="{y + 16}" fill="{SOFT}">{value:.2f}</text>')
        y += LINE
    x = LEFT + mark * scale
    parts.append(f'<line x1="{x:.0f}" y1="{top}" x2="{x:.0f}" y2="{y}" stroke="{GRID}" stroke-dasharray="4 3"/>')
    return y
