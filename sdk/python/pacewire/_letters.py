"""Dead letters: batches that can never be delivered, kept with the reason for people to look at."""
from __future__ import annotations

import datetime
from typing import Any

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
        future = await self._sink.send(subject("dead", self._plugin), body, id=name, content_type=kind, headers=headers)
        await future


def _header(text: str) -> str:
    """A text as a header may have it: one line, at most 512 bytes."""
    return " ".join(text.split()).encode()[:512].decode("utf-8", "ignore")
