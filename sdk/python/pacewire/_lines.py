"""Batches in line protocol. A line that cannot be read is left out and counted, and the rest goes on."""

from __future__ import annotations

import math
import re
from typing import Any

from ._batch import Batch
from ._group import Types
from ._values import MAX_FIELDS, MAX_NAME, MAX_TAG_VALUE, MAX_TAGS, decimal_as, in_64_bits, integer_of, is_decimal, too_long

# Repeated groups are bounded, for each round takes memory: what is longer is refused in any case.
_BLANK = re.compile(r"[ \n]+|\r(?=\n|\Z)|#[^\n]*").match
_SERIES = re.compile(r"(?:\\[, ]|[^\x00-\x20\x7f,]){,%d}" % (MAX_NAME + 1)).match
_TOKEN = re.compile(r"(?:\\[,= ]|[^\x00-\x20\x7f,=]){,%d}" % (MAX_TAG_VALUE + 1)).match
_VALUE = re.compile(r"[^\x00-\x20,]*").match
_QUOTE_NEXT = re.compile(r'["\\]').search
_SPACES = re.compile(r" *").match
_WORD = re.compile(r"[^\x00-\x20]*").match
_END = re.compile(r"\r?(?:\n|\Z)").match
_NUMBER = re.compile(r"[-0-9.eE][-+0-9.eE]*", re.ASCII).fullmatch
_NO_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE).fullmatch
_ESCAPE = re.compile(r'\\(["\\nrt])')
_MEANT = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_TRUE, _FALSE = ("t", "T", "true", "True", "TRUE"), ("f", "F", "false", "False", "FALSE")


class _Bad(Exception):
    """Why a line is refused: a code."""


def read(batch: Batch, body: bytes, arrival: int, tick: int) -> None:
    """Adds the points of body to batch. Times are in ticks of so many ns; arrival is the time of lines without one."""
    text = body.decode("utf-8", "surrogateescape")  # so that only the line with the bad bytes is lost
    scan = _Scan(text, tick, arrival // 1000 * 1000)
    while scan.more():
        try:
            series, tags, fields, types, at = scan.line(batch)
        except _Bad as err:
            batch.drops.add(str(err))
        else:
            batch._put(series, at, tags, fields, types)
        scan.skip_line()


class _Scan:
    """Walks over text, line by line."""

    def __init__(self, text: str, tick: int, arrival: int) -> None:
        self.text, self.at = text, 0
        self.tick, self.arrival = tick, arrival

    def more(self) -> bool:
        """Goes to the next line that is neither empty nor a comment."""
        while blank := _BLANK(self.text, self.at):
            self.at = blank.end()
        return self.at < len(self.text)

    def skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1

    def _here(self, c: str) -> bool:
        return self.text.startswith(c, self.at)

    def _take(self, match: Any) -> str:
        found = match(self.text, self.at)
        self.at = found.end()
        return found.group()

    def _ends(self) -> bool:
        return _END(self.text, self.at) is not None

    def line(self, batch: Batch) -> tuple[str, dict[str, str], dict[str, Any], Types | None, int]:
        series = self._fit(self._take(_SERIES), ", ", MAX_NAME)
        tags: list[tuple[str, str]] = []
        while self._here(","):
            self.at += 1
            tags.append(self._tag())
        if not self._here(" ") or len(tags) > MAX_TAGS or len(dict(tags)) < len(tags):
            raise _Bad("line")
        self._take(_SPACES)
        fields: list[tuple[str, str, Any]] = []
        drops: list[str] = []
        while self._field(fields, drops):
            pass
        if len(fields) > MAX_FIELDS or len({f[0] for f in fields}) < len(fields):
            raise _Bad("line")
        at = self._time()
        if not self._ends():
            raise _Bad("line")
        for code in drops:
            batch.drops.add(code)
        unsigned = {name: "u" for name, letter, _ in fields if letter == "u"}
        return series, dict(sorted(tags)), {f[0]: f[2] for f in fields if f[2] is not None}, Types(unsigned) or None, at

    @staticmethod
    def _fit(raw: str, special: str, limit: int) -> str:
        """A name or the value of a tag, without the backslashes before what is special in it."""
        if "\\" in raw:
            raw = re.sub(r"\\([" + special + "])", r"\1", raw)
        try:
            size = len(raw.encode())
        except UnicodeEncodeError:
            raise _Bad("line") from None
        if not raw or size > limit:
            raise _Bad("line")
        return raw

    def _tag(self) -> tuple[str, str]:
        key = self._fit(self._take(_TOKEN), ",= ", MAX_NAME)
        if not self._here("="):
            raise _Bad("line")
        self.at += 1
        return key, self._fit(self._take(_TOKEN), ",= ", MAX_TAG_VALUE)

    def _field(self, fields: list[tuple[str, str, Any]], drops: list[str]) -> bool:
        """Takes one field and the comma after it; False when there is none."""
        name = self._fit(self._take(_TOKEN), ",= ", MAX_NAME)
        if not self._here("="):
            raise _Bad("line")
        self.at += 1
        letter, value, code = self._quoted() if self._here('"') else parse_value(self._take(_VALUE))
        fields.append((name, letter, value))
        if code:
            drops.append(code)
        if self._here(","):
            self.at += 1
            return True
        if not self._here(" ") and not self._ends():
            raise _Bad("line")
        return False

    def _quoted(self) -> tuple[str, Any, str]:
        first = end = self.at + 1
        while (found := _QUOTE_NEXT(self.text, end)) and found.group() == "\\":
            end = found.end() + 1
        if not found:
            raise _Bad("line")
        self.at = found.end()
        text = _ESCAPE.sub(lambda m: _MEANT[m.group(1)], self.text[first:found.start()])
        try:
            return ("s", None, "too_long") if too_long(text) else ("s", str(text.encode(), "utf-8"), "")
        except UnicodeEncodeError:
            raise _Bad("line") from None

    def _time(self) -> int:
        self._take(_SPACES)
        if self._ends():
            return self.arrival
        word = self._take(_WORD)
        self._take(_SPACES)
        if not is_decimal(word):
            raise _Bad("line")
        ns = integer_of(word) * self.tick
        if not in_64_bits(ns):
            raise _Bad("time_range")
        return ns


def parse_value(text: str) -> tuple[str, Any, str]:
    """The type and the value of a field that is not in quotes, None with a code where it must be dropped."""
    if text in _TRUE or text in _FALSE:
        return "b", text in _TRUE, ""
    letter = text[-1:]
    if letter in ("i", "u") and is_decimal(text[:-1]):
        return (letter, *decimal_as(letter, text[:-1]))
    if _NO_NUMBER(text):
        return "f", None, "nan"
    if not _NUMBER(text):
        raise _Bad("line")
    try:
        v = float(text)
    except ValueError:
        raise _Bad("line") from None
    return ("f", v, "") if math.isfinite(v) else ("f", None, "nan")
