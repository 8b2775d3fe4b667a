"""Msgpack, read with every length checked before anything is made for it.

Reading is plain Python on purpose: the C module ``msgpack`` reserves what a head claims, level upon level, before it sees
whether the bytes are there. Where nothing nested can be, in a long row of plain values, it is used when it is installed.
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import Any, NoReturn

try:
    import msgpack as _c
except ImportError:
    _c = None

__all__ = ["Reader", "WireError", "packb", "unpackb"]


class WireError(ValueError):
    """Bytes that are refused as a whole. ``code`` is the wire's word for why, ``message`` says it to people."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message


# What the first byte of a value says it is.
BAD, NIL, BOOL, INT, FLOAT, STR, BIN, ARRAY, MAP, EXT = range(10)


def _kind(b: int) -> int:
    if b <= 0x7F or b >= 0xE0 or 0xCC <= b <= 0xD3:
        return INT
    if b <= 0x8F or b in (0xDE, 0xDF):
        return MAP
    if b <= 0x9F or b in (0xDC, 0xDD):
        return ARRAY
    if b <= 0xBF or 0xD9 <= b <= 0xDB:
        return STR
    return {0xC0: NIL, 0xC1: BAD, 0xC2: BOOL, 0xC3: BOOL, 0xC4: BIN, 0xC5: BIN, 0xC6: BIN, 0xCA: FLOAT, 0xCB: FLOAT}.get(b, EXT)


KIND = bytes(_kind(b) for b in range(256))

# Bytes of the number that follows a head, and whether it is signed.
_NUMBER = {0xCC: (1, False), 0xCD: (2, False), 0xCE: (4, False), 0xCF: (8, False),
           0xD0: (1, True), 0xD1: (2, True), 0xD2: (4, True), 0xD3: (8, True)}
_LENGTH = {0xD9: 1, 0xC4: 1, 0xDA: 2, 0xC5: 2, 0xDC: 2, 0xDE: 2, 0xDB: 4, 0xC6: 4, 0xDD: 4, 0xDF: 4}

_float32 = struct.Struct(">f").unpack_from
_float64 = struct.Struct(">d").unpack_from


class Reader:
    """Walks over msgpack. The first fault ends the walk with the error of the class's ``refuse``."""

    refuse = WireError

    def __init__(self, buf: bytes) -> None:
        self.buf = buf
        self.at = 0

    def fail(self, code: str, where: str) -> NoReturn:
        """Refuses the message."""
        raise self.refuse(code, where)

    def next(self, where: str) -> int:
        """Returns what the next value is, and takes nothing."""
        if self.at >= len(self.buf):
            self.fail("truncated", where)
        kind = KIND[self.buf[self.at]]
        if kind == BAD:
            self.fail("syntax", where)
        if kind == EXT:
            self.fail("ext", where)
        return kind

    def _take(self, n: int, where: str) -> bytes:
        """Takes the n bytes behind the next one, and that."""
        start = self.at + 1
        self.at = start + n
        if self.at > len(self.buf):
            self.fail("truncated", where)
        return self.buf[start:self.at]

    def length(self, where: str, each: int = 1) -> int:
        """Takes the head of a string, bin, array or map whose elements have at least each bytes; returns what it claims."""
        n = self._claim(where)
        if n * each > len(self.buf) - self.at:
            self.fail("truncated", where)
        return n

    def _claim(self, where: str) -> int:
        b = self.buf[self.at]
        if b > 0xBF:
            return int.from_bytes(self._take(_LENGTH[b], where), "big")
        self.at += 1
        return b & 0x0F if b <= 0x9F else b & 0x1F

    def array(self, where: str, lenient: bool = False) -> int:
        """Takes the head of an array. lenient: nil and an empty map are an empty one."""
        kind = self.next(where)
        if kind == ARRAY:
            return self.length(where)
        if lenient and self._empty(kind, MAP, where):
            return 0
        self.fail("shape", where)

    def mapping(self, where: str) -> int:
        """Takes the head of a map; nil and an empty array are an empty one."""
        kind = self.next(where)
        if kind == MAP:
            return self.length(where, 2)
        if self._empty(kind, ARRAY, where):
            return 0
        self.fail("shape", where)

    def _empty(self, kind: int, of: int, where: str) -> bool:
        if kind == NIL:
            self.at += 1
            return True
        before = self.at
        if kind == of and self._claim(where) == 0:
            return True
        self.at = before
        return False

    def raw(self, where: str) -> bytes:
        """Takes a string or a bin as the bytes it has."""
        n = self.length(where)
        start = self.at
        self.at = start + n
        return self.buf[start:self.at]

    def text(self, where: str) -> str:
        """Takes a string."""
        if self.next(where) != STR:
            self.fail("shape", where)
        try:
            return self.raw(where).decode()
        except UnicodeDecodeError:
            self.fail("utf8", where)

    def integer(self, where: str) -> int:
        """Takes an integer of any width."""
        if self.next(where) != INT:
            self.fail("shape", where)
        b = self.buf[self.at]
        if b <= 0x7F:
            self.at += 1
            return b
        if b >= 0xE0:
            self.at += 1
            return b - 256
        n, signed = _NUMBER[b]
        return int.from_bytes(self._take(n, where), "big", signed=signed)

    def number(self, where: str) -> float:
        """Takes a float of 4 or 8 bytes."""
        at = self.at
        if self.buf[at] == 0xCA:
            self._take(4, where)
            return _float32(self.buf, at + 1)[0]
        self._take(8, where)
        return _float64(self.buf, at + 1)[0]

    def skip(self, depth: int, where: str) -> None:
        """Takes one value whatever it is, nested in at most depth arrays and maps."""
        due = [1]  # values at each level
        while due:
            if due[-1] == 0:
                due.pop()
                continue
            due[-1] -= 1
            n = self._skip_one(where)
            if n < 0:
                continue
            if len(due) > depth:
                self.fail("depth", where)
            due.append(n)

    def _skip_one(self, where: str) -> int:
        """Takes a plain value and returns -1, or the head of an array or a map and returns the values in it."""
        kind = self.next(where)
        if kind in (NIL, BOOL):
            self.at += 1
        elif kind == INT:
            self.integer(where)
        elif kind == FLOAT:
            self.number(where)
        elif kind == STR:
            self.text(where)
        elif kind == BIN:
            self.raw(where)
        elif kind == ARRAY:
            return self.length(where)
        else:
            return 2 * self.length(where, 2)
        return -1

    def plain(self, n: int, each: int = 1) -> list | None:
        """Takes n plain values, or n rows of each of them, by the C module. None, and nothing taken: do it by hand.

        It is given no more bytes than n short values have, and nothing nested can be among them but the rows."""
        if _c is None or n * each < 32:
            return None
        unpacker = _c.Unpacker(strict_map_key=True, max_array_len=each if each > 1 else 0, max_map_len=0, max_ext_len=0,
                               max_buffer_size=1 << 20)
        unpacker.feed(self.buf[self.at:self.at + 64 * n * each])
        try:
            values = list(islice(unpacker, n))
        except Exception:  # whatever it is, the walk by hand finds it again and knows its code
            return None
        if len(values) != n:
            return None
        self.at += unpacker.tell()
        return values


# Messages of control: one value, as maps with string keys.

def unpackb(data: bytes, *, max_bytes: int = 256 << 10, max_depth: int = 16, max_values: int = 20_000) -> Any:
    """Returns the one value that data holds. Keys are str, NaN and ext types but the timestamp are refused.

    Raises WireError. A timestamp (ext -1) comes as integer nanoseconds."""
    if not data:
        raise WireError("empty", "no bytes")
    if len(data) > max_bytes:
        raise WireError("too_large", f"{len(data)} bytes, at most {max_bytes}")
    reader = _Values(bytes(data), max_values)
    value = reader.value(max_depth)
    if reader.at < len(reader.buf):
        reader.fail("trailing", "bytes after the message")
    return value


class _Values(Reader):
    """Makes values of what it reads."""

    def __init__(self, buf: bytes, max_values: int) -> None:
        super().__init__(buf)
        self.left = max_values

    def value(self, depth: int) -> Any:
        """Takes one value, nested in at most depth arrays and maps."""
        self.left -= 1
        if self.left < 0:
            self.fail("limit", "values")
        if self.at < len(self.buf) and KIND[self.buf[self.at]] == EXT:
            return self._timestamp()
        kind = self.next("value")
        if kind == STR:
            return self.text("string")
        if kind == INT:
            return self.integer("integer")
        if kind in (MAP, ARRAY):
            if depth == 0:
                self.fail("depth", "value")
            return self._map(depth - 1) if kind == MAP else self._list(depth - 1)
        if kind == FLOAT:
            number = self.number("number")
            if number - number != 0:
                self.fail("nan", "number")
            return number
        if kind == BIN:
            return self.raw("bin")
        self.at += 1
        return None if kind == NIL else self.buf[self.at - 1] == 0xC3

    def _list(self, depth: int) -> list:
        n = self.length("array")
        if n > self.left:
            self.fail("limit", "values")
        return [self.value(depth) for _ in range(n)]

    def _map(self, depth: int) -> dict:
        n = self.length("map", 2)
        if 2 * n > self.left:
            self.fail("limit", "values")
        found = {}
        for _ in range(n):
            self.left -= 1
            key = self.text("key")
            found[key] = self.value(depth)
        return found

    def _timestamp(self) -> int:
        head = self.buf[self.at]
        size = {0xD6: 4, 0xD7: 8}.get(head)
        if size is None:
            if head != 0xC7 or self.buf[self.at + 1:self.at + 2] != b"\x0c":
                self.fail("ext", "value")
            size = 12
            self.at += 1
        body = self._take(1 + size, "timestamp")
        if body[0] != 0xFF:
            self.fail("ext", "value")
        if size == 4:
            return int.from_bytes(body[1:], "big") * 10**9
        if size == 8:
            both = int.from_bytes(body[1:], "big")
            return (both & 0x3FFFFFFFF) * 10**9 + (both >> 34)
        return int.from_bytes(body[5:], "big", signed=True) * 10**9 + int.from_bytes(body[1:5], "big")


# Writing.

def packb(value: Any) -> bytes:
    """Returns value as msgpack: integers in their shortest form, floats as float64, tuples as arrays."""
    if _c is not None:
        try:
            return _c.packb(value, use_bin_type=True)
        except Exception:  # a half of a surrogate pair, or what cannot be packed: by hand, which mends or names it
            pass
    out = bytearray()
    _put(out, value, 500)
    return bytes(out)


def _put(out: bytearray, value: Any, depth: int) -> None:
    if value is None:
        out.append(0xC0)
    elif isinstance(value, str):
        out += pack_str(value)
    elif isinstance(value, bool):
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        out += pack_int(value)
    elif isinstance(value, float):
        out += b"\xcb" + struct.pack(">d", value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out += bin_head(len(value))
        out += value
    elif depth == 0:
        raise ValueError("nested too deep for a message")
    elif isinstance(value, dict):
        out += map_head(len(value))
        for key, element in value.items():
            _put(out, key, depth - 1)
            _put(out, element, depth - 1)
    elif isinstance(value, (list, tuple)):
        out += array_head(len(value))
        for element in value:
            _put(out, element, depth - 1)
    else:
        raise TypeError(f"{type(value).__name__} cannot be sent: want None, bool, int, float, str, bytes, list or dict")


def pack_int(v: int) -> bytes:
    """Returns v in its shortest form."""
    if 0 <= v < 0x80 or -32 <= v < 0:
        return bytes((v & 0xFF,))
    for n, unsigned, signed in ((1, 0xCC, 0xD0), (2, 0xCD, 0xD1), (4, 0xCE, 0xD2), (8, 0xCF, 0xD3)):
        if 0 <= v < 1 << 8 * n:
            return bytes((unsigned,)) + v.to_bytes(n, "big")
        if -(1 << 8 * n - 1) <= v < 0:
            return bytes((signed,)) + v.to_bytes(n, "big", signed=True)
    raise OverflowError(f"{v} is no integer of 64 bits")


def pack_str(s: str) -> bytes:
    """Returns s as a string; what is no text, a half of a surrogate pair, becomes U+FFFD."""
    try:
        body = s.encode()
    except UnicodeEncodeError:
        body = mended(s).encode()
    n = len(body)
    if n < 32:
        return bytes((0xA0 | n,)) + body
    if n < 256:
        return bytes((0xD9, n)) + body
    return _head(n, 0xA0, 32, (0xDA, 0xDB)) + body


def mended(s: str) -> str:
    """Returns s with U+FFFD for each half of a surrogate pair."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in s)


def array_head(n: int) -> bytes:
    """Returns what goes before the n elements of an array."""
    return _head(n, 0x90, 16, (0xDC, 0xDD))


def map_head(n: int) -> bytes:
    """Returns what goes before the n keys and values of a map."""
    return _head(n, 0x80, 16, (0xDE, 0xDF))


def bin_head(n: int) -> bytes:
    """Returns what goes before n bytes."""
    return bytes((0xC4, n)) if n < 256 else _head(n, 0, 0, (0xC5, 0xC6))


def _head(n: int, short: int, below: int, heads: tuple[int, int]) -> bytes:
    if n < below:
        return bytes((short | n,))
    if n < 1 << 16:
        return bytes((heads[0],)) + n.to_bytes(2, "big")
    return bytes((heads[1],)) + n.to_bytes(4, "big")
