"""A batch out of msgpack: rows or columns, every check of the wire, the first fault in reading order decides."""

from __future__ import annotations

import math
from array import array
from typing import Any

from ._column import CODES, INDEX, LETTERS, Cells, Column, Constant, Dense, Dictionary, little
from ._group import Group
from ._msgpack import ARRAY, BIN, BOOL, FLOAT, INT, KIND, NIL, STR, Reader, WireError
from ._values import (MAX_CELLS, MAX_FIELDS, MAX_GROUPS, MAX_POINTS, MAX_TAGS, Dropped, as_told, bad_name, bad_tag, decimal_as,
                      float_as, in_64_bits, integer_as, integer_of, is_decimal, too_long)

MAX_MESSAGE = 1 << 20
UNITS = (10**9, 10**6, 10**3, 1)

_UNKNOWN_DEPTH = 4  # nesting of a value whose type letter is reserved


class BatchError(WireError):
    """A message that is refused as a whole. ``code`` is the wire's word for why, ``message`` says it to people."""


class Decoder(Reader):
    """Reads one message. decimal: it was JSON, where an integer may be a string."""

    refuse = BatchError

    def __init__(self, buf: bytes, decimal: bool = False) -> None:
        super().__init__(buf)
        self.decimal = decimal
        self.drops = Dropped()
        self._unit = self._t0 = 0
        self._points = self._cells = 0
        self._n = 0  # points of the group
        self._bad: list[bool] | None = None  # points of the group that are left out

    def batch(self) -> list[Group]:
        """Takes the message, and returns the groups that have points."""
        if self.array("batch") != 5:
            self.fail("shape", "batch: want 5 elements")
        if self.integer("version") != 1:
            self.fail("version", "want 1")
        self._unit = self.integer("unit")
        if self._unit not in UNITS:
            self.fail("unit", "want 1, 1000, 1000000 or 1000000000")
        self._t0 = self.wide("t0")
        if not in_64_bits(self._t0):
            self.fail("shape", "t0: above int64")
        tags = self.tags({})
        n = self.array("groups", lenient=True)
        if n > MAX_GROUPS:
            self.fail("limit", "groups")
        groups = [self.group(tags) for _ in range(n)]
        if self.at < len(self.buf):
            self.fail("trailing", "bytes after the batch")
        return [g for g in groups if len(g)]

    def wide(self, where: str) -> int:
        """Takes an integer that JSON may write as a decimal string."""
        if not self.decimal or self.next(where) != STR:
            return self.integer(where)
        text = self.text(where)
        if not is_decimal(text):
            self.fail("shape", where + ": want an integer")
        return integer_of(text)

    def name(self, where: str) -> str:
        """Takes the name of something."""
        text = self.text(where)
        if bad_name(text):
            self.fail("name", where)
        return text

    def tags(self, outer: dict[str, str]) -> dict[str, str]:
        """Takes a map of tags, and returns it with those of outer that it does not say."""
        n = self.mapping("tags")
        if n > MAX_TAGS:
            self.fail("limit", "tags")
        seen: dict[str, str] = {}
        twice = False
        for _ in range(n):
            key = self.name("tag key")
            twice = twice or key in seen
            if self.at < len(self.buf) and self.buf[self.at] == 0xC0:
                self.at += 1
                seen[key] = ""
                continue
            seen[key] = self.text("tag value")
            if bad_tag(seen[key]):
                self.fail("tag_value", "tag value")
        if twice:
            self.fail("duplicate_key", "tags")
        return {**outer, **{key: text for key, text in seen.items() if text}}

    def names(self, limit: int, lenient: bool, where: str) -> list[str]:
        """Takes an array of names, each of which is there once."""
        n = self.array(where, lenient)
        if n > limit:
            self.fail("limit", where)
        names = [self.name(where) for _ in range(n)]
        if len(set(names)) < n:
            self.fail("duplicate_key", where)
        return names

    def group(self, batch_tags: dict[str, str]) -> Group:
        """Takes a group. It gets the tags of the batch that it does not say itself."""
        if self.array("group") != 6:
            self.fail("shape", "group: want 6 elements")
        series = self.name("series")
        tags = self.tags(batch_tags)
        keys = self.names(MAX_TAGS, True, "tagkeys")
        fields = self.names(MAX_FIELDS, False, "fields")
        if not fields:
            self.fail("shape", "fields: want at least one")
        types = self.text("types").encode().decode("latin-1")  # a letter is a byte
        if len(types) != len(fields):
            self.fail("shape", "types: want one letter for each field")
        n = self.array("rows", lenient=True)
        self._bad = None
        if n and self.at < len(self.buf) and KIND[self.buf[self.at]] == INT:
            group = self._columns(series, tags, keys, fields, types, n)
        else:
            group = self._rows(series, tags, keys, fields, types, n)
        return self._finish(group)

    def _count(self, n: int, columns: int) -> None:
        if not 0 <= n <= MAX_POINTS:
            self.fail("limit", "points of a group")
        self._n = n
        self._points += n
        self._cells += n * columns
        if self._points > MAX_POINTS or self._cells > MAX_CELLS:
            self.fail("limit", "points or cells of the batch")

    def _drop(self, row: int, code: str) -> None:
        """Marks a point to be left out, for the first reason found."""
        if self._bad is None:
            self._bad = [False] * self._n
        if not self._bad[row]:
            self._bad[row] = True
            self.drops.add(code)

    def _finish(self, group: Group) -> Group:
        """Leaves out fields of a type this version does not know, points that were marked, points without fields."""
        known = {name: c for name, c in group.field_columns.items() if c.letter in LETTERS}
        group.field_columns = known
        if self._bad is not None:
            group.keep([not bad for bad in self._bad])
        self.drops.add("no_fields", drop_empty(group))
        return group

    # Columns

    def _columns(self, series: str, tags: dict[str, str], keys: list[str], fields: list[str], types: str, columns: int) -> Group:
        if columns != 2 + len(keys) + len(fields):
            self.fail("shape", "columns: want n, the times, each tag and each field")
        n = self.integer("number of points")
        self._count(n, len(keys) + len(fields))
        times = self._times(n)
        tag_columns = {key: self._tag_column(n) for key in keys}
        field_columns = {name: self._column(letter, n) for name, letter in zip(fields, types)}
        return Group(series, tags, tag_columns, field_columns, times, n)

    def _times(self, n: int) -> Column:
        kind = self.next("times")
        if kind == ARRAY:
            if self.array("times") != n:
                self.fail("shape", "times: want one for each point")
            ticks = self._ticks(n)
        elif kind == BIN:
            ticks = self._packed("i", n).values()
        else:
            one = self._time(self.wide("times"))
            for row in range(n) if one is None else ():
                self._drop(row, "time_range")
            return Constant("i", one or 0, n)
        return self._stamps(ticks)

    def _ticks(self, n: int) -> list[int]:
        return self.plain_integers(n) or [self.wide("times") for _ in range(n)]

    def plain_integers(self, n: int) -> list[int] | None:
        """n integers by the C module, if they are nothing else."""
        at = self.at
        values = self.plain(n)
        if values is not None and set(map(type, values)) == {int}:
            return values
        self.at = at
        return None

    def _stamps(self, ticks: list[int]) -> Column:
        """The times in ns. Those outside 64 bits drop their points."""
        unit, t0 = self._unit, self._t0
        if not ticks:
            return Constant("i", 0, 0)
        if self._time(min(ticks)) is not None and self._time(max(ticks)) is not None:
            return Dense("i", array("q", [(t0 + dt) * unit for dt in ticks]))
        stamps = array("q")
        for row, dt in enumerate(ticks):
            ns = self._time(dt)
            if ns is None:
                self._drop(row, "time_range")
            stamps.append(ns or 0)
        return Dense("i", stamps)

    def _time(self, dt: int) -> int | None:
        """t0 + dt in ns, None where that is outside int64 on the way."""
        tick = self._t0 + dt
        ns = tick * self._unit
        return ns if in_64_bits(dt) and in_64_bits(tick) and in_64_bits(ns) else None

    def _packed(self, letter: str, n: int) -> Dense:
        """Takes numbers of one width."""
        data = self.raw("column")
        if not n and not data:
            return Dense(letter, array("B"))
        width = len(data) // n if n and len(data) % n == 0 else 0
        code = CODES.get(letter, {}).get(width)
        if code is None:
            self.fail("shape", "column: want n numbers of an allowed width")
        numbers = little(code, data)
        if letter == "b" and max(numbers) > 1:
            self.fail("shape", "column: want bools of 0 or 1")
        return Dense(letter, numbers)

    def _column(self, letter: str, n: int) -> Column:
        kind = self.next("column")
        if letter not in LETTERS:
            return self._unknown(kind, n)
        if kind == BIN:
            return self._finite(self._packed(letter, n))
        if kind == ARRAY:
            return self._cell_column(letter, n)
        value, code = self.cell(letter, "column")
        if code:
            self.drops.add(code, n)
        return Constant(letter, value, n)

    def _finite(self, column: Dense) -> Column:
        """The column without what is NaN or infinite."""
        if column.letter != "f" or math.isfinite(sum(column.numbers)):  # a finite sum has nothing else in it
            return column
        cells = [v if math.isfinite(v) else None for v in column.numbers]
        n = cells.count(None)
        self.drops.add("nan", n)
        return Cells("f", cells) if n else column

    def _unknown(self, kind: int, n: int) -> Column:
        if kind == NIL:
            self.at += 1
        else:
            self.skip(_UNKNOWN_DEPTH, "column of a reserved type")
            self.drops.add("unknown_type", n)
        return Constant("?", None, n)

    def _cell_column(self, letter: str, n: int) -> Column:
        found = self.array("column")
        if found == 2 and letter == "s" and self.at < len(self.buf) and KIND[self.buf[self.at]] == ARRAY:
            return self._long_texts(self._dictionary(n))
        if found != n:
            self.fail("shape", "column: want one value for each point")
        cells = self._plain_cells(letter, n)
        if cells is None:
            cells = []
            for _ in range(n):
                value, code = self.cell(letter, "column")
                if code:
                    self.drops.add(code)
                cells.append(value)
        return Cells(letter, cells)

    def _plain_cells(self, letter: str, n: int) -> list | None:
        """n cells by the C module, if each is just what letter says."""
        at = self.at
        values = self.plain(n)
        if values is not None and as_told(letter, values):
            return values
        self.at = at
        return None

    def _long_texts(self, column: Dictionary) -> Column:
        if not any(map(too_long, column.texts)):
            return column
        texts = [None if too_long(text) else text for text in column.texts]
        short = Dictionary(texts, column.indices)
        self.drops.add("too_long", short.values().count(None))
        return short

    def _dictionary(self, n: int) -> Dictionary:
        size = self.array("dictionary")
        if size > MAX_POINTS:
            self.fail("limit", "dictionary")
        texts = [self.text("dictionary") for _ in range(size)]
        kind = self.next("dictionary indices")
        if kind == BIN:
            return Dictionary(texts, self._indices(n, size))
        if kind == ARRAY:
            return Dictionary(texts, self._index_cells(n, size))
        self.fail("shape", "dictionary: want texts and indices")

    def _indices(self, n: int, size: int) -> array:
        data = self.raw("dictionary indices")
        if not n and not data:
            return array("B")
        code = INDEX.get(len(data) // n if n and len(data) % n == 0 else 0)
        if code is None:
            self.fail("shape", "dictionary: want n indices of 1, 2 or 4 bytes")
        indices = little(code, data)
        if max(indices) >= size:
            self.fail("index", "dictionary: index outside")
        return indices

    def _index_cells(self, n: int, size: int) -> array:
        if self.array("dictionary indices") != n:
            self.fail("shape", "dictionary: want an index for each point")
        indices = array("I")
        for _ in range(n):
            index = self.integer("dictionary indices")
            if not 0 <= index < size:
                self.fail("index", "dictionary: index outside")
            indices.append(index)
        return indices

    def _tag_column(self, n: int) -> Column:
        kind = self.next("tag column")
        if kind == BIN:
            self.fail("shape", "tag column: want text")
        if kind != ARRAY:
            text = self.tag_text()
            for row in range(n) if text is None else ():
                self._drop(row, "tag_value")
            return Constant("s", text or "", n)
        found = self.array("tag column")
        if found == 2 and self.at < len(self.buf) and KIND[self.buf[self.at]] == ARRAY:
            return self._clean_tags(self._dictionary(n))
        if found != n:
            self.fail("shape", "tag column: want one value for each point")
        cells = self._plain_cells("s", n)
        if cells is not None and not any(map(bad_tag, filter(None, cells))):
            return Cells("s", [text or "" for text in cells])
        if cells is None:
            cells = [self.tag_text() for _ in range(n)]
        else:
            cells = ["" if text is None else None if bad_tag(text) else text for text in cells]
        return self._good_tags(cells)

    def _clean_tags(self, column: Dictionary) -> Column:
        if any(map(bad_tag, column.texts)):
            for row, text in enumerate(column.values()):
                if bad_tag(text):
                    self._drop(row, "tag_value")
        return column

    def _good_tags(self, cells: list) -> Column:
        for row, text in enumerate(cells):
            if text is None:
                self._drop(row, "tag_value")
        return Cells("s", [text or "" for text in cells])

    def tag_text(self) -> str | None:
        """Takes the value of a tag; None: it is none, and its point is to be left out."""
        kind = self.next("tag value")
        if kind == NIL:
            self.at += 1
            return ""
        if kind == STR:
            text = self.text("tag value")
            return None if bad_tag(text) else text
        self.skip(_UNKNOWN_DEPTH, "tag value")
        return None

    # Rows

    def _rows(self, series: str, tags: dict[str, str], keys: list[str], fields: list[str], types: str, n: int) -> Group:
        self._count(n, len(keys) + len(fields))
        width = 1 + len(keys) + len(fields)
        cells = self._plain_rows(len(keys), types, n, width)
        if cells is None:
            cells = self._row_cells(len(keys), types, n, width)
        times = self._stamps(cells[0])
        tag_columns = {key: self._good_tags(c) for key, c in zip(keys, cells[1:])}
        letters = [letter if letter in LETTERS else "?" for letter in types]
        field_columns = {name: Cells(letter, c) for name, letter, c in zip(fields, letters, cells[1 + len(keys):])}
        return Group(series, tags, tag_columns, field_columns, times, n)

    def _row_cells(self, keys: int, types: str, n: int, width: int) -> list[list]:
        """The cells of rows, column by column."""
        columns: list[list] = [[] for _ in range(width)]
        times, tag_columns = columns[0], columns[1:1 + keys]
        field_columns = list(zip(types, columns[1 + keys:]))
        for _ in range(n):
            if self.array("row") != width:
                self.fail("shape", "row: want a time, each tag and each field")
            times.append(self.wide("row time"))
            for column in tag_columns:
                column.append(self.tag_text())
            for letter, column in field_columns:
                value, code = self.cell(letter, "field value")
                if code:
                    self.drops.add(code)
                column.append(value)
        return columns

    def _plain_rows(self, keys: int, types: str, n: int, width: int) -> list[list] | None:
        """The same by the C module, if all is as it is told."""
        at = self.at
        rows = self.plain(n, width)
        if rows is not None and set(map(type, rows)) == {list} and set(map(len, rows)) == {width}:
            columns = list(zip(*rows))
            good = set(map(type, columns[0])) == {int}
            good = good and all(as_told("s", c) and not any(map(bad_tag, filter(None, c))) for c in columns[1:1 + keys])
            if good and all(as_told(letter, c) for letter, c in zip(types, columns[1 + keys:])):
                tags = [["" if text is None else text for text in c] for c in columns[1:1 + keys]]
                return [list(columns[0]), *tags, *map(list, columns[1 + keys:])]
        self.at = at
        return None

    # Cells

    def cell(self, letter: str, where: str) -> tuple[Any, str]:
        """Takes a value of a field. One that does not fit is None, with the code that says why."""
        kind = self.next(where)
        if kind == NIL:
            self.at += 1
            return None, ""
        if kind == INT and letter != "b" and letter != "s":
            return integer_as(letter, self.integer(where))
        if kind == FLOAT and letter != "b" and letter != "s":
            return float_as(letter, self.number(where))
        if kind == BOOL and letter == "b":
            self.at += 1
            return self.buf[self.at - 1] == 0xC3, ""
        if kind == STR and letter == "s":
            text = self.text(where)
            return (None, "too_long") if too_long(text) else (text, "")
        if kind == STR and self.decimal and letter in "iu":
            return decimal_as(letter, self.text(where))
        self.skip(_UNKNOWN_DEPTH, where)
        return None, "type" if letter in LETTERS else "unknown_type"


def drop_empty(group: Group) -> int:
    """Drops the points that have no field, and returns how many."""
    columns = group.field_columns.values()
    if any(isinstance(c, Dense) or isinstance(c, Constant) and c.value is not None for c in columns):
        return 0
    before = len(group)
    if not before:
        return 0
    rows = zip(*[c.values() for c in columns])
    group.keep([any(v is not None for v in row) for row in rows] or [False] * before)
    return before - len(group)
