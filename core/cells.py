"""Cells of a CSV file that no spreadsheet takes for a formula (OWASP, CSV injection). One rule for every export."""

import re
from typing import Any, Final

# The beginning of a formula or a macro, also in its full-width form, behind blanks of any kind.
_FORMULA: Final = r"(?:[^\S\r\n]|[\u200b\ufeff])*[=+\-@|%＝＋－＠]"
# A cell begins with the text; and behind a semicolon or a line's end: where a comma divides the digits of numbers, as
# in German, Excel takes a file with commas for one with semicolons, and its quotes for text.
_BEGINNING: Final = re.compile(rf"\A(?=[\t\r\n])|(?:\A|(?<=[;\r\n]))(?={_FORMULA})")


def harmless(value: Any) -> str:
    """The text of a cell; a quote stands before what would begin a formula."""
    text = str(value).replace("\x00", "")
    return _BEGINNING.sub("'", text)
