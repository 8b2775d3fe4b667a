"""What NATS servers say, taken apart: operations out of bytes, within limits."""
from __future__ import annotations

from typing import Callable, Optional

MAX_LINE = 64 << 10  # bytes of a line; INFO of a large cluster is the longest
MAX_BODY = 64 << 20  # bytes of a message with its headers: no server takes more
_MAX_HEADERS = 64 << 10
_MAX_DIGITS = 9


class ProtocolError(Exception):
    """A server that does not speak NATS, or wants more than is reasonable."""


class Msg:
    """A message. Its status is "" or what the server says instead of one: 100, 404, 408, 409, 503."""

    __slots__ = ("subject", "reply", "headers", "data", "status")

    def __init__(self, subject: str, reply: str = "", headers: Optional[dict[str, str]] = None, data: bytes = b"", status: str = ""):
        self.subject, self.reply, self.headers, self.data, self.status = subject, reply, headers, data, status

    def __repr__(self) -> str:
        return f"Msg({self.subject!r}, {len(self.data)} bytes{', status ' + self.status if self.status else ''})"


class Parser:
    """Takes bytes as they come and calls on_msg for each message, on_line for each other line. It keeps a part of one operation at most."""

    def __init__(self, on_msg: Callable[[bytes, Msg], None], on_line: Callable[[bytes], None]):
        self._on_msg, self._on_line = on_msg, on_line
        self._rest = bytearray()
        self._need = 0  # bytes of _rest before which there is no whole operation
        self.stopped = False

    @property
    def pending(self) -> int:
        """Bytes that wait for more."""
        return len(self._rest)

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError for what no server should send; the connection is of no use any more."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
        used = self._take(data)
        self._rest = bytearray(data[used:]) if used < len(data) else bytearray()

    def _take(self, data: bytes) -> int:
        at, size = 0, len(data)
        self._need = 0
        while at < size and not self.stopped:
            end = data.find(b"\r\n", at, at + MAX_LINE + 2)
            if end < 0:
                if size - at > MAX_LINE:
                    raise ProtocolError(f"a line of more than {MAX_LINE} bytes")
                break
            verb = data[at:at + 4]
            if verb == b"HMSG" or verb == b"MSG ":
                stop = self._message(data, at, end)
                if not stop:
                    break
                at = stop
            else:
                self._on_line(data[at:end])
                at = end + 2
        return at

    def _message(self, data: bytes, at: int, end: int) -> int:
        """Delivers one message and returns where it ends; 0 when it is not whole."""
        args = data[at:end].split()
        has_headers = args[0] == b"HMSG"
        count = len(args) - has_headers
        if count not in (4, 5):
            raise ProtocolError(f"a message line of {len(args)} words")
        total = _size(args[-1])
        start = end + 2
        stop = start + total
        if len(data) < stop + 2:
            self._need = stop + 2 - at
            return 0
        if data[stop:stop + 2] != b"\r\n":
            raise ProtocolError("a message is longer than it says")
        try:
            msg = Msg(args[1].decode(), args[3].decode() if count == 5 else "")
        except UnicodeDecodeError:
            raise ProtocolError("a subject is not UTF-8") from None
        if has_headers:
            size = _size(args[-2])
            if size > total or size > _MAX_HEADERS:
                raise ProtocolError(f"headers of {size} bytes in a message of {total}")
            msg.status, msg.headers = parse_headers(data[start:start + size])
            start += size
        msg.data = data[start:stop]
        self._on_msg(args[2], msg)
        return stop + 2


def _size(word: bytes) -> int:
    if not word.isdigit() or len(word) > _MAX_DIGITS or int(word) > MAX_BODY:
        raise ProtocolError(f"a message of {word[:20].decode('ascii', 'replace')} bytes")
    return int(word)


def parse_headers(block: bytes) -> tuple[str, dict[str, str]]:
    """The status of a block of headers, and its headers, each with its first value. What is told of a status is the header Description."""
    first, _, rest = block.decode("utf-8", "replace").partition("\r\n")
    if not first.startswith("NATS/1.0"):
        raise ProtocolError("headers of another protocol than NATS/1.0")
    headers: dict[str, str] = {}
    for line in rest.split("\r\n"):
        key, colon, value = line.partition(":")
        if colon and key not in headers:
            headers[key] = value.strip()
    if len(first) == 8:
        return "", headers
    status, _, about = first[8:].strip().partition(" ")
    if about:
        headers.setdefault("Description", about)
    return status, headers


def format_headers(headers: dict[str, str]) -> bytes:
    """A block of headers. Raises ValueError for what would break out of it."""
    lines = ["NATS/1.0"]
    for key, value in headers.items():
        if not key or ":" in key or "\r" in key or "\n" in key or "\r" in value or "\n" in value:
            raise ValueError(f"header {key!r}: want a name without colon, and no line breaks")
        lines.append(f"{key}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
