"""The root of all errors that a caller can act on."""

import inspect
from typing import Any, ClassVar


class HitlError(Exception):
    """The request could not be carried out."""

    # A subclass's docstring is its default message ; `code` is stable, see docs/errors.md.
    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """`detail` replaces the default message; `extra` is added to the problem document (e.g. `current_version`)."""
        self.detail = detail or self.title
        self.extra = extra
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        return (inspect.getdoc(type(self)) or "").split("\n\n")[0].replace("\n", " ")
