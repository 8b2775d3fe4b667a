"""Columns of a batch in the forms they have on the wire, changed without making a value of each."""

from __future__ import annotations

import math
import sys
from array import array
from itertools import compress, repeat
from operator import itemgetter
from struct import pack
from typing import Any, Iterable, Sequence, Union

from ._msgpack import array_head, bin_head, mended, pack_int, pack_str

MAX_TEXT = 65535  # bytes of a string field
LETTERS = "fiubs"

# Typecodes of dense columns by letter and bytes of a number.
CODES = {
    "i": {1: "b", 2: "h", 4: "i", 8: "q"},
    "u": {1: "B", 2: "H", 4: "I", 8: "Q"},
    "f": {4: "f", 8: "d"},
    "b": {1: "B"},
}
INDEX = {1: "B", 2: "H", 4: "I"}
_SWAP = sys.byteorder == "big"


def little(code: str, data: bytes) -> array:
    """Numbers of little-endian bytes."""
    numbers = array(code)
    numbers.frombytes(data)
    if _SWAP:
        numbers.byteswap()
    return numbers


def _wire(numbers: array) -> bytes:
    if _SWAP:
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    data = numbers.tobytes()
    return bin_head(len(data)) + data


def take(values: Sequence[Any], rows: Sequence[int]) -> Sequence[Any]:
    """The values of some rows."""
    if isinstance(rows, range) and rows.step == 1:
        return values[rows.start:rows.stop]
    if len(rows) > 1:
        return itemgetter(*rows)(values)
    return [values[row] for row in rows]


# A column has one of four forms. Each has values(), one for each point; distinct(), which has each value at least once; select(rows)
# and keep(mask, n), which make a column of some points; and pack(), its bytes on the wire. None of them ever changes.


class Constant:
    """One value that every point has, or None."""

    __slots__ = ("letter", "value", "n")

    def __init__(self, letter: str, value: Any, n: int) -> None:
        self.letter, self.value, self.n = letter, value, n

    def values(self) -> list:
        return [self.value] * self.n

    def distinct(self) -> Iterable[Any]:
        return (self.value,)

    def select(self, rows: Sequence[int]) -> Constant:
        return Constant(self.letter, self.value, len(rows))

    def keep(self, mask: Sequence[Any], n: int) -> Constant:
        return Constant(self.letter, self.value, n)

    def pack(self) -> bytes:
        return pack_value(self.letter, self.value)


class Dense:
    """A number or a bool for each point."""

    __slots__ = ("letter", "numbers", "_values")

    def __init__(self, letter: str, numbers: array) -> None:
        self.letter, self.numbers = letter, numbers
        self._values: list | None = None

    def values(self) -> list:
        if self._values is None:
            self._values = self.numbers.tolist()
            if self.letter == "b":
                self._values = list(map(bool, self._values))
        return self._values

    def distinct(self) -> Iterable[Any]:
        return self.values()

    def select(self, rows: Sequence[int]) -> Dense:
        return Dense(self.letter, array(self.numbers.typecode, take(self.numbers, rows)))

    def keep(self, mask: Sequence[Any], n: int) -> Dense:
        return Dense(self.letter, array(self.numbers.typecode, list(compress(self.numbers, mask))))

    def pack(self) -> bytes:
        return _wire(self.numbers)


class Cells:
    """A value or None for each point."""

    __slots__ = ("letter", "cells")

    def __init__(self, letter: str, cells: list) -> None:
        self.letter, self.cells = letter, cells

    def values(self) -> list:
        return self.cells

    def distinct(self) -> Iterable[Any]:
        return self.cells

    def select(self, rows: Sequence[int]) -> Cells:
        return Cells(self.letter, list(take(self.cells, rows)))

    def keep(self, mask: Sequence[Any], n: int) -> Cells:
        return Cells(self.letter, list(compress(self.cells, mask)))

    def pack(self) -> bytes:
        cells = self.cells
        if self.letter == "s":
            return array_head(len(cells)) + b"".join([b"\xc0" if v is None else pack_str(v) for v in cells])
        return array_head(len(cells)) + b"".join(map(pack_value, repeat(self.letter), cells))


class Dictionary:
    """A text for each point, of few distinct ones. A text may be None."""

    __slots__ = ("letter", "texts", "indices", "_values")

    def __init__(self, texts: list, indices: Any, letter: str = "s") -> None:
        self.letter, self.texts, self.indices = letter, texts, indices
        self._values: list | None = None

    def values(self) -> list:
        if self._values is None:
            self._values = list(map(self.texts.__getitem__, self.indices))
        return self._values

    def distinct(self) -> Iterable[Any]:
        return self.texts

    def select(self, rows: Sequence[int]) -> Dictionary:
        return Dictionary(self.texts, array(self.indices.typecode, take(self.indices, rows)))

    def keep(self, mask: Sequence[Any], n: int) -> Dictionary:
        return Dictionary(self.texts, array(self.indices.typecode, list(compress(self.indices, mask))))

    def pack(self) -> bytes:
        texts = self.texts
        if None in texts or 2 * len(texts) > len(self.indices):
            return text_column(self.values()).pack()
        return b"\x92" + array_head(len(texts)) + b"".join(map(pack_str, texts)) + _wire(self.indices)




Column = Union[Constant, Dense, Cells, Dictionary]


def pack_value(letter: str, value: Any) -> bytes:
    """One value of a column."""
    if value is None:
        return b"\xc0"
    if letter == "f":
        return b"\xcb" + pack(">d", value)
    if letter == "s":
        return pack_str(value)
    if letter == "b":
        return b"\xc3" if value else b"\xc2"
    return pack_int(value)


def text_column(texts: Sequence[str | None], letter: str = "s") -> Column:
    """The shortest form of texts."""
    n = len(texts)
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1:
        return Constant(letter, distinct[0], n)
    if 2 * len(distinct) > n or None in distinct:
        return Cells(letter, list(texts))
    index = dict(zip(distinct, range(len(distinct))))
    code = "B" if len(distinct) <= 256 else "H" if len(distinct) <= 65536 else "I"
    return Dictionary(distinct, array(code, list(map(index.__getitem__, texts))), letter)


def column(letter: str, values: Sequence[Any]) -> Column:
    """The shortest form of values of one type, none of which is None, NaN or too large."""
    if letter == "s":
        return text_column(values)
    n = len(values)
    if letter == "f":
        return _floats(values, n)
    if letter == "b":
        flags = bytes(values)
        if flags.count(flags[0]) == n:
            return Constant(letter, values[0], n)
        return Dense(letter, array("B", flags))
    return integers(letter, values)


def integers(letter: str, values: Sequence[int]) -> Column:
    """Integers with the narrowest width that holds them all."""
    low, high = min(values), max(values)
    if low == high:
        return Constant(letter, low, len(values))
    shift = 1 if letter == "i" else 0
    most = max(high, ~low)
    width = 1 if most < 1 << 8 - shift else 2 if most < 1 << 16 - shift else 4 if most < 1 << 32 - shift else 8
    return Dense(letter, array(CODES[letter][width], values))


def _floats(values: Sequence[float], n: int) -> Column:
    """Floats, as float32 where none loses by it."""
    first = values[0]
    wide = array("d", values)
    if first == values[-1] and wide.tobytes() == pack("d", first) * n:
        return Constant("f", first, n)
    if array("f", (first,))[0] == first:
        narrow = array("f", wide)
        if narrow.tolist() == wide.tolist():
            return Dense("f", narrow)
    return Dense("f", wide)


def _finite(values: Sequence[float]) -> bool:
    """Whether the sum is finite: then no value is NaN, infinite, or an integer beyond all floats."""
    try:
        return math.isfinite(sum(values))
    except OverflowError:
        return False


def mixed(letter: str, values: Sequence[Any]) -> tuple[Column, int]:
    """A column of values of which some may be None, NaN or long texts; with how many NaN were left out."""
    if type(None) not in set(map(type, values)):
        short = letter == "s" and 4 * max(map(len, values)) <= MAX_TEXT
        if short or letter in "iub" or letter == "f" and _finite(values):
            return column(letter, values), 0
    cells, nan = list(values), 0
    if letter == "f":
        for row, v in enumerate(cells):
            if v is not None and not _finite((v,)):
                cells[row] = None
                nan += 1
    elif letter == "s":
        cells = [v if v is None or 4 * len(v) <= MAX_TEXT else cut(v, MAX_TEXT) for v in cells]
    if None not in cells:
        return column(letter, cells), nan
    if not any(v is not None for v in cells):
        return Constant(letter, None, len(cells)), nan
    return Cells(letter, cells), nan


def cut(text: str, limit: int) -> str:
    """The first bytes of text, limit at most, without half a character."""
    return mended(text).encode()[:limit].decode("utf-8", "ignore")
