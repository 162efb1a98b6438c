"""Ids of COCO JSON, which some tools write as numbers in one list and as text or with a decimal point in another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from tag2mask.data.readers.json_file import shown
from tag2mask.data.readers.records import RecordError

Id = int | str
_Value = TypeVar("_Value")
_MOST_DIGITS = 40


def identity(value: Any, what: str) -> Id:
    """An id; a whole number with a decimal point is that number.

    Raises:
        RecordError: it is neither a whole number nor text.
    """
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise RecordError(f"{what} is {shown(value)}; expected a number")
    return value


class Ids(Generic[_Value]):
    """Values by their ids, found as written, or else by the number that a text means.

    Attributes:
        loose: how many were found only by the number.

    >>> ids = Ids({"007": "cat", 8: "dog"})
    >>> ids.get(7), ids.get("8"), ids.get("9")
    ('cat', 'dog', None)
    """

    def __init__(self, values: Mapping[Id, _Value]) -> None:
        self._values = dict(values)
        self._numbers: dict[int, list[_Value]] = {}
        for key, value in self._values.items():
            if (number := _number(key)) is not None:
                self._numbers.setdefault(number, []).append(value)
        self.loose = 0

    def get(self, key: Id) -> _Value | None:
        """The value of an id; None if there is none, or two ids mean the same number."""
        if key in self._values:
            return self._values[key]
        number = _number(key)
        found = self._numbers.get(number, []) if number is not None else []
        if len(found) != 1:
            return None
        self.loose += 1
        return found[0]

    def values(self) -> list[_Value]:
        """All values."""
        return list(self._values.values())


def _number(key: Id) -> int | None:
    if isinstance(key, int):
        return key
    text = key.strip()
    whole, _, rest = text.partition(".")
    right = whole.isascii() and whole.isdecimal() and len(whole) <= _MOST_DIGITS and not rest.strip("0")
    return int(whole) if right else None
