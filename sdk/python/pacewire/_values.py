"""What values a batch may have: how many and how long, of which types, and by which codes the others are left out."""

from __future__ import annotations

import math
import re
import sys
from itertools import compress
from typing import Any

from ._column import LETTERS, MAX_TEXT

MAX_GROUPS = 1024
MAX_POINTS = 65535
MAX_CELLS = 262144
MAX_TAGS = 64
MAX_FIELDS = 256
MAX_NAME = 255
MAX_TAG_VALUE = 1024

_LOW, _HIGH = -(1 << 63), (1 << 63) - 1

is_decimal = re.compile(r"-?[0-9]+", re.ASCII).fullmatch
control = re.compile("[\x00-\x1f\x7f]").search


class Dropped(dict):
    """How many points, fields and lines were left out, by code."""

    def add(self, code: str, n: int = 1) -> None:
        """Counts n more."""
        if n:
            self[code] = self.get(code, 0) + n


def _longer(text: str, limit: int) -> bool:
    return 4 * len(text) > limit and len(text.encode()) > limit


def bad_name(text: str) -> bool:
    """Whether text may not be the name of a series, a field or a tag."""
    return not text or control(text) is not None or _longer(text, MAX_NAME)


def bad_tag(text: str) -> bool:
    """Whether text may not be the value of a tag."""
    return control(text) is not None or _longer(text, MAX_TAG_VALUE)


def too_long(text: str) -> bool:
    """Whether text may not be a field."""
    return _longer(text, MAX_TEXT)


def in_64_bits(ns: int) -> bool:
    """Whether a time, in nanoseconds, is one."""
    return _LOW <= ns <= _HIGH


def as_told(letter: str, values: Any) -> bool:
    """Whether each value is None or just what its letter says, so that nothing has to be left out or turned."""
    kinds = set(map(type, values)) - {type(None)}
    if letter == "s":
        return kinds <= {str} and not any(map(too_long, filter(None, values)))
    if letter == "f":
        return kinds <= {float} and math.isfinite(sum(filter(None, values)))
    if letter == "b":
        return kinds <= {bool}
    if letter not in "iu" or not kinds <= {int}:
        return False
    present = list(compress(values, [v is not None for v in values]))
    return not present or integer_fits(letter, min(present)) and integer_fits(letter, max(present))


def integer_fits(letter: str, v: int) -> bool:
    """Whether an integer is one of type i or u."""
    return _LOW <= v <= _HIGH if letter == "i" else 0 <= v < 1 << 64


def integer_as(letter: str, v: int) -> tuple[Any, str]:
    """An integer as a field of a type, None with the code of why it is none."""
    if letter == "f":
        return (float(v), "") if abs(v) <= sys.float_info.max else (None, "nan")
    if letter not in LETTERS:
        return None, "unknown_type"
    return (v, "") if integer_fits(letter, v) else (None, "int_range")


def float_as(letter: str, v: float) -> tuple[Any, str]:
    """A float as a field of a type, likewise."""
    if letter not in LETTERS:
        return None, "unknown_type"
    if not math.isfinite(v):
        return None, "nan"
    if letter == "f":
        return v, ""
    if v != math.trunc(v) or abs(v) > 1 << 53:
        return None, "type"
    return (int(v), "") if letter == "i" or v >= 0 else (None, "int_range")


def integer_of(digits: str) -> int:
    """The integer of decimal digits; of more than any number has, one that is out of range."""
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("-").lstrip("0")
    return sign * (int(digits or "0") if len(digits) <= 30 else 1 << 99)


def decimal_as(letter: str, text: str) -> tuple[Any, str]:
    """Decimal digits as a field of type i or u, likewise."""
    if not is_decimal(text):
        return None, "type"
    v = integer_of(text)
    return (v, "") if integer_fits(letter, v) and not (letter == "u" and text[0] == "-") else (None, "int_range")


def value_as(letter: str, value: Any) -> tuple[Any, str]:
    """Any value as a field of a type, likewise. A number may be a decimal string."""
    if value is None:
        return None, ""
    if letter not in LETTERS:
        return None, "unknown_type"
    kind = type(value)
    if kind is int and letter in "fiu":
        return integer_as(letter, value)
    if kind is float and letter in "fiu":
        return float_as(letter, value)
    if kind is bool and letter == "b":
        return value, ""
    if kind is str and letter == "s":
        return (None, "too_long") if too_long(value) else (value, "")
    if kind is str and letter in "iu":
        return decimal_as(letter, value)
    return None, "type"
