"""What the benchmark writes: the rows that others read, the table in the docs, the chart."""

from xml.etree import ElementTree

from bench import chart, report, works
from bench.load import Outcome
from bench.report import BEGIN, END, Figures


def figures() -> list[Figures]:
    found = []
    for size, slower in ((10_000, 1.0), (1_000_000, 1.25)):
        compared, alone = Figures("queue", size), Figures("home", size)
        for noise in (1.0, 1.1, 0.9):
            compared.add("limit", 8_000 * noise)
            compared.add("naive", 100 * noise)
            compared.add("ours", 500 * noise / slower)
            alone.add("ours", 40 * noise / slower)
        found += [compared, alone]
    return found


def test_the_rows_have_exactly_the_promised_keys() -> None:
    rows = report.results(figures())
    assert rows[2] == {
        "work": "queue", "size": 1_000_000, "ours_per_s": 400.0, "naive_per_s": 100.0, "limit_per_s": 8000.0,
        "vs_naive": 4.0, "vs_limit": 0.05, "growth": 1.25,
    }  # fmt: skip
    assert rows[3] == {
        "work": "home", "size": 1_000_000, "ours_per_s": 32.0, "naive_per_s": None, "limit_per_s": None,
        "vs_naive": None, "vs_limit": None, "growth": 1.25,
    }  # fmt: skip
    assert rows[0]["growth"] is None


def test_the_table_replaces_what_stood_between_the_markers() -> None:
    page = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nmore\n"
    assert report.with_table(page, "| new |") == f"# Title\n\n{BEGIN}\n\n| new |\n{END}\n\nmore\n"
    assert BEGIN in report.PAGE.read_text()
    assert END in report.PAGE.read_text()


def test_the_chart_is_a_picture_of_the_largest_size() -> None:
    picture = ElementTree.fromstring(chart.svg(report.results(figures())))  # noqa: S314  (our own text)
    texts = [element.text or "" for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert any("1,000,000" in text for text in texts)
    assert "4.00" in texts
    assert texts.count("1.25") == 2


def test_a_batch_counts_by_its_tasks() -> None:
    outcome = Outcome(per_s=3.0, p50_ms=1.0, p99_ms=2.0, answers=3, right=3, unexpected={}, sample="")
    assert works.sample_of("create_batch", outcome).per_s == 300.0
    assert works.sample_of("create", outcome).per_s == 3.0
