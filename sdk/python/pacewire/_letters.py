"""Dead letters: batches that can never be delivered, kept with the reason for people to look at."""
from __future__ import annotations

from typing import Any

from ._batch import CONTENT_TYPE
from ._clock import rfc3339
from ._nats import TooLarge
from ._subjects import subject, token
from ._suspects import LetterKey


class Letters:
    """Writes the dead letters of a plugin."""

    def __init__(self, sink: Any, plugin: str, key: LetterKey):
        self._sink, self._plugin, self._key = sink, plugin, key

    async def bury(self, durable: str, delivery: Any, body: bytes, part: int, code: str, reason: str) -> None:
        """Stores one letter: all of a delivery, or (with a part above 0) some of its points in msgpack. It does not settle."""
        given = delivery.headers or {}
        headers = {
            "Pw-Reason": code, "Pw-Error": _header(reason), "Pw-Subject": delivery.subject,
            "Pw-Stream-Seq": str(delivery.stream_seq), "Pw-Deliveries": str(delivery.deliveries), "Pw-Stored": rfc3339(delivery.stored_ns)}
        if delivery.id:
            headers["Pw-Source-Id"] = delivery.id
        if given.get("Content-Encoding") and not part:
            headers["Content-Encoding"] = given["Content-Encoding"]
        kind = CONTENT_TYPE if part else given.get("Content-Type", "")
        name = self._key.id(self._plugin, token(durable), delivery, body, part)
        try:
            await self._send(body, name, kind, headers)
        except TooLarge:  # better a letter without its content than a reader that stands still
            about = f"its {len(body)} bytes are left out, the letter would be too large: {reason}"
            headers.update({"Pw-Left-Out": str(len(body)), "Pw-Error": _header(about)})
            await self._send(b"", name, kind, headers)

    async def _send(self, body: bytes, name: str, kind: str, headers: dict[str, str]) -> None:
        await (await self._sink.send(subject("dead", self._plugin), body, id=name, content_type=kind, headers=headers))


def _header(text: str) -> str:
    """A text as a header may have it: one line, at most 512 bytes."""
    return " ".join(text.split()).encode()[:512].decode("utf-8", "ignore")
