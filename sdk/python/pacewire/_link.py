"""One connection to one server, from its greeting to its loss."""
from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from typing import Any, Callable, Optional

from ._wire import Msg, Parser, ProtocolError

_HIGH_WATER = 256 << 10
_CLOSE_TIMEOUT = 2.0


class Link(asyncio.Protocol):
    """Parses what comes, answers pings, and says when the connection is lost and why."""

    def __init__(self, on_msg: Callable[[bytes, Msg], None], on_line: Callable[[Link, str, str], None], tls: bool):
        loop = asyncio.get_running_loop()
        self.info: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.error: Optional[Exception] = None  # why it was lost
        self.wants_tls = tls
        self.paused = False  # more than the socket takes waits to be sent
        self.unanswered = 0  # pings since anything came
        self.pongs: deque[Optional[asyncio.Future[None]]] = deque()
        self._on_msg, self._on_line = on_msg, on_line
        self._parser = Parser(self._message, self._line)
        self._transport: Any = None
        self._resumed: Optional[asyncio.Future[None]] = None
        self._owes_pong = False
        self._plain = False  # what comes before the encryption begins is nobody's word

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        if self.lost.done():  # given up meanwhile
            transport.abort()
            return
        self._take(transport)

    def _take(self, transport: Any) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self.unanswered = 0
        try:
            self._parser.feed(data)
            if self._plain and self._parser.pending:
                raise ProtocolError("the server speaks before the encryption it asks for")
        except ProtocolError as err:
            self.drop(err)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.error = self.error or exc or EOFError("the server has hung up")
        self._parser.stopped = True
        if not self.lost.done():
            self.lost.set_result(None)
        for future in (self.info, *self.pongs):
            if future is not None and not future.done():
                future.set_exception(self.error)
                future.exception()  # nobody may wait for it
        self.pongs.clear()
        self.resume_writing()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self._owes_pong:
            self._owes_pong = False
            self.write(b"PONG\r\n")
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)
        self._resumed = None

    # What a server says.

    def _message(self, sid: bytes, msg: Msg) -> None:
        if not self.info.done():
            raise ProtocolError("the server does not greet")
        self._on_msg(sid, msg)

    def _line(self, line: bytes) -> None:
        if line == b"PING":
            self._pong()
        elif line == b"PONG":
            future = self.pongs.popleft() if self.pongs else None
            if future is not None and not future.done():
                future.set_result(None)
        else:
            verb, _, rest = line.decode("utf-8", "replace").partition(" ")
            self._word(verb.upper(), rest)

    def _word(self, verb: str, rest: str) -> None:
        if verb == "INFO" and not self.info.done():
            info = info_of(rest)
            self.wants_tls = self._plain = self._parser.stopped = self.wants_tls or bool(info.get("tls_required"))
            self.info.set_result(info)
        elif verb != "-ERR" and not self.info.done():
            raise ProtocolError("the server does not greet")
        else:
            self._on_line(self, verb, rest)

    def _pong(self) -> None:
        if self.paused:  # of one who asks and does not read
            self._owes_pong = True
        else:
            self.write(b"PONG\r\n")

    # What the client does.

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(data)

    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def resumed(self) -> None:
        """Waits until not much waits to be sent."""
        if self.paused and not self.lost.done():
            if self._resumed is None:
                self._resumed = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._resumed})

    def ping(self) -> asyncio.Future[None]:
        """Asks the server for a sign of life, which says as well that it has had all before."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            future.set_exception(self.error or EOFError("the server has hung up"))
            return future
        self.pongs.append(future)
        self.write(b"PING\r\n")
        return future

    async def encrypt(self, context: ssl.SSLContext, name: str) -> None:
        """Goes over to TLS."""
        if self.error is not None:
            raise self.error
        self._plain = self._parser.stopped = False
        loop = asyncio.get_running_loop()
        self._take(await loop.start_tls(self._transport, self, context, server_hostname=name))

    def drop(self, err: Optional[Exception], stale: bool = False) -> None:
        """Gives the connection up at once. Of a stale one, what the kernel still holds is not sent either: it would arrive late."""
        self._parser.stopped = True
        if self.lost.done():
            return
        if self._transport is None:
            self.connection_lost(err)
            return
        sock = self._transport.get_extra_info("socket")
        if stale and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.error = self.error or err
        self._transport.abort()

    async def close(self) -> None:
        """Sends what waits, if that goes soon, and ends the connection."""
        if self._transport is not None and not self.lost.done():
            self._transport.close()
            await asyncio.wait({self.lost}, timeout=_CLOSE_TIMEOUT)
        if not self.lost.done():
            self.drop(None)
            await asyncio.wait({self.lost}, timeout=_CLOSE_TIMEOUT)


def info_of(text: str) -> dict[str, Any]:
    """What an INFO says. Raises ProtocolError."""
    try:
        info = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise ProtocolError(f"INFO is no JSON: {err}") from err
    if not isinstance(info, dict):
        raise ProtocolError("INFO is no object")
    return info
