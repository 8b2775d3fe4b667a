"""Dead letters: batches that can never be delivered, kept with the reason for people to look at."""
from __future__ import annotations

import datetime
from typing import Any

from ._nats import TooLarge
from ._subjects import subject, token
from ._suspects import LetterKey



class Letters:
    """Writes the dead letters of a plugin."""

    def __init__(self, sink: Any, plugin: str, key: LetterKey):
        self._sink, self._plugin, self._key = sink, plugin, key

    async def bury(self, durable: str, delivery: Any, body: bytes, part: int, code: str, reason: str) -> None:
        """Stores one letter: all of a delivery, or (with a part above 0) some of its points in msgpack. It does not settle."""
        from ._batch import CONTENT_TYPE

        given = delivery.headers or {}
        stored = datetime.datetime.fromtimestamp(delivery.stored_ns / 1e9, datetime.timezone.utc)
        headers = {
            "Pw-Reason": code, "Pw-Error": _header(reason), "Pw-Subject": delivery.subject, "Pw-Stream-Seq": str(delivery.stream_seq),
            "Pw-Deliveries": str(delivery.deliveries), "Pw-Stored": stored.isoformat().replace("+00:00", "Z")}
        if delivery.id:
            headers["Pw-Source-Id"] = delivery.id
        if given.get("Content-Encoding") and not part:
            headers["Content-Encoding"] = given["Content-Encoding"]
        kind = CONTENT_TYPE if part else given.get("Content-Type", "")
        name = self._key.id(self._plugin, token(durable), delivery, body, part)
        try:
            await self._send(body, name, kind, headers)
        except TooLarge:  # better a letter without its content than a reader that stands still
            headers.update({"Pw-Left-Out": str(len(body)), "Pw-Error": _header(f"its {len(body)} bytes are left out, the letter would be too large: {reason}")})
            await self._send(b"", name, kind, headers)

    async def _send(self, body: bytes, name: str, kind: str, headers: dict[str, str]) -> None:
        await (await self._sink.send(subject("dead", self._plugin), body, id=name, content_type=kind, headers=headers))


def _header(text: str) -> str:
    """A text as a header may have it: one line, at most 512 bytes."""
    return " ".join(text.split()).encode()[:512].decode("utf-8", "ignore")
