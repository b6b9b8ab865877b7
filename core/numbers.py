"""Numbers in what a browser sends: anybody may write anything there."""


def whole(text: str, digits: int = 17) -> int | None:
    """The number that these digits are, or None. `²` and `١` are digits to Python too, but none that we send."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def wholes(text: str) -> list[int]:
    """The numbers in `1,2,3`; what is no number is passed over."""
    return [number for part in text.split(",") if (number := whole(part)) is not None]
