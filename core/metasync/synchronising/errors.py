"""The error that stops one object for one profile."""

from __future__ import annotations

from metasync.contract import MetasyncError


class ObjectError(MetasyncError):
    """An expression failed for this object; the object is left as it is until the expression or the value is corrected."""

    def __init__(self, attribute: str, message: str) -> None:
        super().__init__(message)
        self.attribute = attribute
