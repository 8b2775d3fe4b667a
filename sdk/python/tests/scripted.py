"""A server that says what a test wants said, for what no real one does: garbage, silence, one byte at a time."""
from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Awaitable, Callable

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """Listens on a free port. Each connection gets the next talk, the last one of them again and again."""

    def __init__(self, *talks: Talk):
        self._talks, self.connections = talks, 0
        self.said: list[dict[str, Any]] = []  # what clients said in CONNECT

    async def __aenter__(self) -> Scripted:
        self._tasks: list[asyncio.Task[None]] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "nats://127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = self._talks[min(self.connections, len(self._talks) - 1)]
        self.connections += 1
        self._tasks.append(asyncio.ensure_future(self._talk(talk, reader, writer)))

    async def _talk(self, talk: Talk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
        finally:
            writer.transport.abort()

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **info: Any) -> None:
        """Lets a client in."""
        writer.write(b"INFO " + json.dumps({"max_payload": 1 << 20, "headers": True, **info}).encode() + b"\r\n")
        while True:
            line = await reader.readuntil(b"\r\n")
            if line.startswith(b"CONNECT "):
                self.said.append(json.loads(line[8:]))
            elif line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
                return


def says(data: bytes) -> Talk:
    """A talk of nothing but data, and then silence."""
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await asyncio.Event().wait()

    return talk


async def pongs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers pings, and takes everything else."""
    while True:
        if await reader.readuntil(b"\r\n") == b"PING\r\n":
            writer.write(b"PONG\r\n")
