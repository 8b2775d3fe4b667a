"""Batches: points of one host, kept as columns by series, and their forms on the wire."""

from __future__ import annotations

import operator
from array import array
from numbers import Real
from typing import Any, Iterable, Iterator, Mapping

from . import _encode
from ._clock import now_ns
from ._column import Column, Constant, Dense, mixed
from ._decode import MAX_MESSAGE, BatchError, Decoder
from ._group import LETTER_OF, Group, Point, Types, letter_as
from ._values import MAX_FIELDS, MAX_TAGS, Dropped, in_64_bits, integer_fits, value_as

__all__ = ["CONTENT_TYPE", "Batch", "BatchError", "Group", "Point", "counted_frames", "decode", "frames"]

CONTENT_TYPE = "application/x-pacewire+msgpack"
MAX_FRAME = 256 << 10

_TICKS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_SKEW_BEFORE = 631152000 * 10**9  # 1990
_SKEW_AHEAD = 3600 * 10**9


class Batch:
    """Points of one host. ``len()`` is their number, ``groups`` holds them as columns, ``points()`` one by one.

    ``drops`` counts by code what add and frames left out: NaN, values of no type, points without fields."""

    def __init__(self, host: str = "", groups: Iterable[Group] = ()) -> None:
        self.host = host
        self.time_ns: int | None = None  # of the points that add is given without one; None: the clock
        self.drops = Dropped()
        self._groups = list(groups)
        self._open: dict[tuple, _Rows] = {}

    @property
    def groups(self) -> list[Group]:
        """The groups. The list and each of them may be changed."""
        if self._open:
            opened, self._open = self._open, {}
            for rows in opened.values():
                self._groups.extend(rows.groups(self.drops))
        return self._groups

    @groups.setter
    def groups(self, groups: Iterable[Group]) -> None:
        self._open = {}
        self._groups = list(groups)

    def __len__(self) -> int:
        return sum(map(len, self.groups))

    def points(self) -> Iterator[Point]:
        """Every point, with dicts of its own. Work on columns is several times as fast."""
        for group in self.groups:
            yield from group.points()

    def add(self, series: str, fields: Mapping[str, Any], tags: Mapping[str, Any] | None = None, time_ns: int | None = None,
            types: Mapping[str, str] | None = None) -> None:
        """Adds one point: now, unless time_ns says when. A field is of the type of its value: int i, float f, bool b, str s;
        types says another one by its letter."""
        mark = None
        if types:
            fields = self._converted(fields, types)
            mark = Types(types)
        self._put(series, self._now() if time_ns is None else time_ns, tags or {}, fields, mark)

    def append(self, point: Point) -> None:
        """Adds a point. One that came in a batch keeps the types it had there: an int in a float's place is a float."""
        at = point.time_ns
        types = point.types
        if types is not None and type(types) is not Types:
            self.add(point.series, point.fields, point.tags, at, types)
            return
        self._put(point.series, self._now() if at is None else at, point.tags, point.fields, types)

    def extend(self, points: Iterable[Point]) -> None:
        """Adds points."""
        for point in points:
            self.append(point)

    def _now(self) -> int:
        return now_ns() if self.time_ns is None else self.time_ns

    def _put(self, series: str, at: int, tags: Mapping[str, Any], fields: Mapping[str, Any], types: Types | None) -> None:
        values = fields.values()
        key = (series, *tags, 0, *fields, *map(type, values), types)
        rows = self._open.get(key)
        if rows is None:
            rows = self._begin(key, series, at, tags, fields, types)
            if rows is None:
                return
        rows.add((at, *tags.values(), *values))

    def _begin(self, key: tuple, series: str, at: int, tags: Mapping[str, Any], fields: Mapping[str, Any],
               types: Types | None) -> _Rows | None:
        """Opens rows for points like this one; None when it is no point, or was added as a mended one."""
        if not fields:
            self.drops.add("no_fields")
        elif len(tags) > MAX_TAGS or len(fields) > MAX_FIELDS:
            self.drops.add("limit")
        elif not all(type(v) in LETTER_OF for v in fields.values()):
            self._put(series, at, tags, self._plain(fields), types)
        else:
            hints = types or {}
            letters = [letter_as(type(v), hints.get(name, "")) for name, v in fields.items()]
            self._open[key] = rows = _Rows(series, list(tags), list(fields), letters)
            return rows
        return None

    def _plain(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that have a value of some type, as values of Python."""
        out = {}
        for name, v in fields.items():
            plain = _plain(v)
            if plain is not None:
                out[name] = plain
            elif v is not None:
                self.drops.add("type")
        return out

    def _converted(self, fields: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
        """The fields with the types that they are to have."""
        out = {}
        for name, v in fields.items():
            if v is None:
                continue
            if name in types:
                v, code = value_as(types[name], _plain(v))
                if v is None:
                    self.drops.add(code or "type")
                    continue
            out[name] = v
        return out


def _plain(v: Any) -> Any:
    """v as bool, int, float or str; None if it is none of them."""
    if isinstance(v, str):
        return str(v)
    if isinstance(v, bool):
        return bool(v)
    if isinstance(v, (bytes, bytearray)):
        return bytes(v).decode("utf-8", "replace")
    try:
        return operator.index(v)
    except TypeError:
        pass
    return float(v) if isinstance(v, Real) or type(v).__name__ in ("Decimal", "float32", "float16") else None


class _Rows:
    """Points that were added one by one, alike in series, keys and types."""

    __slots__ = ("series", "keys", "names", "letters", "rows", "add")

    def __init__(self, series: str, keys: list[str], names: list[str], letters: list[str]) -> None:
        self.series, self.keys, self.names, self.letters = series, keys, names, letters
        self.rows: list[tuple] = []
        self.add = self.rows.append

    def groups(self, drops: Dropped) -> list[Group]:
        """The points as columns; integers above int64 in a group of their own."""
        rows = self.rows
        for column, letter in enumerate(self.letters, 1 + len(self.keys)):
            if letter not in "iu":
                continue
            values = [row[column] for row in rows]
            if integer_fits(letter, min(values)) and integer_fits(letter, max(values)):
                continue
            return self._split(column, letter, drops)
        return self._made(drops)

    def _split(self, column: int, letter: str, drops: Dropped) -> list[Group]:
        """The groups where the integers of a column fit, where they are unsigned, and where they are left out."""
        out: list[Group] = []
        parts: dict[str, list[tuple]] = {}
        for row in self.rows:
            v = row[column]
            parts.setdefault(letter if integer_fits(letter, v) else "u" if integer_fits("u", v) else "", []).append(row)
        field = column - 1 - len(self.keys)
        for of, rows in parts.items():
            part = _Rows(self.series, self.keys, list(self.names), list(self.letters))
            part.rows = rows
            if of:
                part.letters[field] = of
            else:
                drops.add("int_range", len(rows))
                del part.names[field], part.letters[field]
                part.rows = [row[:column] + row[column + 1:] for row in rows]
            if part.names:
                out += part.groups(drops)
            else:
                drops.add("no_fields", len(rows))
        return out

    def _made(self, drops: Dropped) -> list[Group]:
        columns = list(zip(*self.rows))
        n = len(self.rows)
        times = self._times(columns[0], drops)
        tags = {k: _encode.tag_column(c) for k, c in zip(self.keys, columns[1:])}
        fields = {}
        for name, letter, values in zip(self.names, self.letters, columns[1 + len(self.keys):]):
            fields[name], nan = mixed(letter, values)
            drops.add("nan", nan)
        group = Group(self.series, {}, tags, fields, times[0], n)
        if times[1]:
            group.keep([in_64_bits(t) for t in columns[0]])
        drops.add("no_fields", _encode.drop_empty(group))
        return [group] if len(group) else []

    @staticmethod
    def _times(times: tuple[int, ...], drops: Dropped) -> tuple[Column, int]:
        """The column of times, and how many are none."""
        try:
            stamps = array("q", times)
        except OverflowError:
            stamps = array("q", [t if in_64_bits(t) else 0 for t in times])
        except TypeError:
            raise TypeError("a time of a point is no int: want nanoseconds since 1970, such as time.time_ns() gives") from None
        if times.count(times[0]) == len(times):
            stamped: Column = Constant("i", stamps[0], len(times))
        else:
            stamped = Dense("i", stamps)
        bad = sum(not in_64_bits(t) for t in times) if 0 in stamps else 0
        drops.add("time_range", bad)
        return stamped, bad


def frames(batch: Batch, max_bytes: int = MAX_FRAME) -> list[bytes]:
    """The batch as messages of CONTENT_TYPE, each within the limits. A point that no message holds is counted in drops."""
    return [body for body, _ in counted_frames(batch, max_bytes)]


def counted_frames(batch: Batch, max_bytes: int = MAX_FRAME) -> list[tuple[bytes, int]]:
    """frames, each with the number of its points."""
    return list(_encode.frames(batch.groups, max_bytes, batch.drops))


def decode(data: bytes, content_type: str | None, *, stored_ns: int, host: str) -> tuple[Batch, dict[str, int]]:
    """The batch that data holds, in the form that its Content-Type says, or its first bytes where that is None.

    stored_ns is the time of points that do not say their own, host the tag of those that do not say it. What was left out is
    counted by code. Points with a time before 1990 or an hour after stored_ns are kept and counted as time_skew.

    Raises BatchError."""
    form, tick = _form(content_type, data)
    if not data:
        raise BatchError("empty", "no bytes")
    if len(data) > MAX_MESSAGE:
        raise BatchError("too_large", f"{len(data)} bytes, at most {MAX_MESSAGE}")
    data = bytes(data)
    if form == CONTENT_TYPE:
        decoder = Decoder(data)
        batch, drops = Batch(host, decoder.batch()), decoder.drops
    else:
        from . import _json, _lines  # they add to a Batch
        text = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
        batch = Batch(host)
        if form == "application/json":
            _json.read(batch, text, stored_ns)
        else:
            _lines.read(batch, text, stored_ns, tick)
        batch.groups  # closes what is open, which may leave out more
        drops, batch.drops = batch.drops, Dropped()
    drops.add("time_skew", _skewed(batch, stored_ns))
    for group in batch.groups if host else ():
        if not group.tags.get("host"):
            group.tags = {**group.tags, "host": host}
    return batch, drops


def _skewed(batch: Batch, stored_ns: int) -> int:
    late = stored_ns + _SKEW_AHEAD
    n = 0
    for group in batch.groups:
        times = group.times
        if min(times) < _SKEW_BEFORE or max(times) > late:
            n += sum(not _SKEW_BEFORE <= t <= late for t in times)
    return n


def _form(content_type: str | None, data: bytes) -> tuple[str, int]:
    """The form that a Content-Type names or data shows, and the ns of a tick of line protocol."""
    if not content_type:
        return _sniff(data), 1
    name, *rest = [part.strip() for part in content_type.lower().split(";")]
    params = [part.split("=", 1) for part in rest if part]
    tick = 1
    if name == "text/x-influx" and len(params) == 1 and params[0][0] == "precision" and len(params[0]) == 2:
        tick = _TICKS.get(params.pop()[1].strip('"'), 0)
    if name not in (CONTENT_TYPE, "application/json", "text/x-influx") or params or not tick:
        raise BatchError("content_type", f"Content-Type {content_type}: want {CONTENT_TYPE}, application/json or text/x-influx; "
                                         "precision=ns|us|ms|s")
    return name, tick


def _sniff(data: bytes) -> str:
    if not data:
        raise BatchError("empty", "no bytes")
    if 0x90 <= data[0] <= 0x9F or data[0] in (0xDC, 0xDD):
        return CONTENT_TYPE
    text = data[3:] if data[:3] == b"\xef\xbb\xbf" else data
    first = text.lstrip(b" \t\r\n")[:1]
    if first in (b"[", b"{") and first:
        return "application/json"
    if first and (0x20 < first[0] < 0x7F or 0xC2 <= first[0] <= 0xF4 and first[0] not in (0xDC, 0xDD)):
        return "text/x-influx"
    raise BatchError("content_type", "none, and the first byte is no msgpack, JSON or line protocol")
