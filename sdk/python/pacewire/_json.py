"""Batches in JSON: the arrays of the wire, or point objects: one, a list, or one a line."""

from __future__ import annotations

import datetime
import json
import re
import struct
from typing import Any, NoReturn

from ._batch import Batch
from ._decode import BatchError, Decoder
from ._group import Types
from ._msgpack import array_head, map_head, pack_int, pack_str
from ._values import (MAX_CELLS, MAX_FIELDS, MAX_GROUPS, MAX_POINTS, MAX_TAGS, bad_name, bad_tag, in_64_bits, integer_of,
                      is_decimal, value_as)

_BATCH_DEPTH, _POINT_DEPTH = 10, 6
_POINT_KEYS = ("series", "time", "tags", "fields", "types")
_BLANKS = re.compile(r"[ \t\r\n]*").match
_NUMBER_NEXT = re.compile(r"\[[ \t\r\n]*[-0-9]").match
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]").search
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII).fullmatch
_EPOCH = datetime.date(1970, 1, 1).toordinal()


class _Number(str):
    """A number as it is written: a tag keeps that."""


class _Object(list):
    """The pairs of an object, as they come."""


def _constant(word: str) -> NoReturn:
    raise BatchError("syntax", f"{word} is no value of JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_constant)


def read(batch: Batch, body: bytes, arrival: int) -> None:
    """Adds what body holds to an empty batch. arrival is the time of points without one."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BatchError("utf8", "JSON") from None
    start = _BLANKS(text).end()
    if text.startswith("{", start):
        _lines(_Points(batch, arrival), text, start)
        return
    value, end = _value(text, start)
    if _BLANKS(text, end).end() < len(text):
        raise BatchError("trailing", f"bytes after the end, byte {end}")
    if _NUMBER_NEXT(text, start):
        decoder = Decoder(_packed(value, _BATCH_DEPTH), decimal=True)
        batch.groups = decoder.batch()
        batch.drops = decoder.drops
        return
    if not text.startswith("[", start):
        raise BatchError("shape", "want a batch or points")
    points = _Points(batch, arrival)
    for point in value:
        points.add(point)


def _lines(points: _Points, text: str, at: int) -> None:
    while at < len(text):
        value, end = _value(text, at)
        points.add(value)
        at = _BLANKS(text, end).end()
        if at < len(text) and "\n" not in text[end:at]:
            raise BatchError("trailing", "want one point a line")


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        value, end = _decoder.raw_decode(text, at)
    except RecursionError:
        raise BatchError("depth", "nested too deep") from None
    except json.JSONDecodeError as err:
        raise BatchError("syntax", f"{err.msg}, line {err.lineno} column {err.colno}") from None
    if _ESCAPED_HALF(text, at, end):
        _whole(value)
    return value, end


def _whole(value: Any) -> None:
    """Refuses halves of surrogate pairs."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BatchError("utf8", "half of a surrogate pair") from None
    elif isinstance(value, (list, tuple)):
        for element in value:
            _whole(element)


def _number(text: str) -> int | float:
    if len(text) <= 20 and text != "-0" and is_decimal(text):
        v = int(text)
        if -(1 << 63) <= v < 1 << 64:
            return v
    return float(text)


def _packed(value: Any, depth: int) -> bytes:
    """value as msgpack, for the reader that knows all the checks."""
    if isinstance(value, _Number):
        v = _number(value)
        return pack_int(v) if isinstance(v, int) else b"\xcb" + struct.pack(">d", v)
    if isinstance(value, str):
        return pack_str(value)
    if not isinstance(value, list):
        return b"\xc0" if value is None else b"\xc3" if value else b"\xc2"
    if depth == 0:
        raise BatchError("depth", "nested too deep")
    if isinstance(value, _Object):
        return map_head(len(value)) + b"".join([pack_str(k) + _packed(v, depth - 1) for k, v in value])
    return array_head(len(value)) + b"".join([_packed(v, depth - 1) for v in value])


def _deeper(value: Any, depth: int) -> bool:
    """Whether value is nested in more than depth arrays and objects."""
    if not isinstance(value, list):
        return False
    inner = [v for _, v in value] if isinstance(value, _Object) else value
    return depth == 0 or any(_deeper(v, depth - 1) for v in inner)


class _Points:
    """Adds point objects to a batch."""

    def __init__(self, batch: Batch, arrival: int) -> None:
        self.batch, self.arrival = batch, arrival
        self.points = self.cells = 0

    def add(self, value: Any) -> None:
        if _deeper(value, _POINT_DEPTH):
            raise BatchError("depth", "nested too deep")
        if not isinstance(value, _Object):
            raise BatchError("shape", "want a point object")
        parts = _unique(value, "key of a point")
        for key in parts:
            if key not in _POINT_KEYS:
                raise BatchError("shape", "a point has series, time, tags, fields and types only")
        series = _name(parts.get("series"), "series")
        at = self._time(parts.get("time"))
        tags = self._tags(parts.get("tags"))
        types = self._types(parts.get("types"))
        fields, letters = self._fields(parts.get("fields"), types)
        self.points += 1
        self.cells += len(tags or ()) + len(fields)
        if self.points > MAX_POINTS or self.cells > MAX_CELLS:
            raise BatchError("limit", "points or cells of the batch")
        bad = "time_range" if at is None else "tag_value" if tags is None else "" if fields else "no_fields"
        if bad:
            self.batch.drops.add(bad)
            return
        self.batch._put(series, at, tags, fields, letters)
        if len(self.batch._open) > MAX_GROUPS:
            raise BatchError("limit", "groups")

    def _time(self, value: Any) -> int | None:
        """The time of a point, None when it is outside int64."""
        if value is None:
            return self.arrival
        if not isinstance(value, str):
            raise BatchError("shape", _WANT_TIME)
        if is_decimal(value):
            ns = integer_of(value)
        elif isinstance(value, _Number):
            raise BatchError("shape", _WANT_TIME)
        else:
            ns = parse_time(value)
        return ns if in_64_bits(ns) else None

    @staticmethod
    def _tags(value: Any) -> dict[str, str] | None:
        """The tags of a point, None when one of them is none."""
        tags, good = {}, True
        for key, v in _pairs(value, MAX_TAGS, "tags").items():
            _name(key, "tag key")
            if v is None:
                continue
            if v is True or v is False:
                v = "true" if v else "false"
            if not isinstance(v, str) or bad_tag(v):
                good = False
            elif v:
                tags[key] = str(v)
        return tags if good else None

    @staticmethod
    def _types(value: Any) -> dict[str, str]:
        types = _pairs(value, MAX_FIELDS, "types")
        for name, letter in types.items():
            _name(name, "types")
            if type(letter) is not str or len(letter.encode()) != 1:
                raise BatchError("shape", "types: want one letter for a field")
        return types

    def _fields(self, value: Any, types: dict[str, str]) -> tuple[dict[str, Any], Types | None]:
        fields: dict[str, Any] = {}
        unsigned = None
        for name, v in _pairs(value, MAX_FIELDS, "fields").items():
            _name(name, "fields")
            letter = types.get(name) or ("b" if isinstance(v, bool) else "s" if type(v) is str else "f")
            plain, code = value_as(letter, _number(v) if type(v) is _Number else v)
            if code:
                self.batch.drops.add(code)
            if plain is not None:
                fields[name] = plain
                if letter == "u":
                    unsigned = Types(types)
        return fields, unsigned


_WANT_TIME = "time: want RFC 3339 with up to 9 decimals, or nanoseconds"


def _pairs(value: Any, limit: int, where: str) -> dict[str, Any]:
    """An object as a dict; null and an empty array are an empty one."""
    if value is None or value == []:
        return {}
    if not isinstance(value, _Object):
        raise BatchError("shape", where)
    if len(value) > limit:
        raise BatchError("limit", where)
    return _unique(value, where)


def _unique(pairs: _Object, where: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BatchError("duplicate_key", where)
    return found


def _name(value: Any, where: str) -> str:
    if type(value) is not str:
        raise BatchError("shape", where)
    if bad_name(value):
        raise BatchError("name", where)
    return value


def parse_time(text: str) -> int:
    """The nanoseconds of a time in RFC 3339."""
    match = _RFC3339(text)
    if not match:
        raise BatchError("shape", _WANT_TIME)
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, off_hours, off_minutes = match.groups()[6:]
    offset = (int(off_hours) * 60 + int(off_minutes)) * (-1 if sign == "-" else 1) if sign else 0
    try:
        day_number = datetime.date(year or 4, month, day).toordinal() - (0 if year else 1461) - _EPOCH
    except ValueError:
        raise BatchError("shape", _WANT_TIME) from None
    if hour > 23 or minute > 59 or second > 59 or sign and (int(off_hours) > 23 or int(off_minutes) > 59):
        raise BatchError("shape", _WANT_TIME)
    seconds = day_number * 86400 + hour * 3600 + (minute - offset) * 60 + second
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))
