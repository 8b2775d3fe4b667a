"""A message of a stream that is in hand."""
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Optional

from ._wire import Msg

ACK, NAK, TERM, PROGRESS = b"+ACK", b"-NAK", b"+TERM", b"+WPI"
_PREFIX = "$JS.ACK."
_DIGITS = 20


class Delivery:
    """A message to be settled: by ack, nak or term, once. Until then its source tells the stream that it is worked on."""

    __slots__ = ("subject", "data", "headers", "id", "stream_seq", "deliveries", "stored_ns", "pending", "consumer_seq", "again", "reply", "signalled",
                 "_source", "_settled")

    def __init__(self, source: Any, msg: Msg, numbers: list[int]):
        self._source = source
        self.subject, self.data, self.reply = msg.subject, msg.data, msg.reply
        self.headers: dict[str, str] = msg.headers or {}
        self.id = self.headers.get("Nats-Msg-Id", "")
        self.deliveries, self.stream_seq, self.consumer_seq, self.stored_ns, self.pending = numbers
        self.again = False  # it is a dead letter that is given again
        self.signalled = 0.0
        self._settled = False

    def __repr__(self) -> str:
        return f"Delivery({self.subject!r}, {self.stream_seq}, id {self.id!r})"

    @property
    def settled(self) -> bool:
        """Whether nothing more can be said of it."""
        return self._settled

    async def ack(self) -> None:
        """Settles it for good: the stream never gives it again. The source repeats that until the stream has confirmed it."""
        self._settle(ACK, True)
        await self._source.ready()

    def nak(self, delay: float = 0.0) -> None:
        """Gives it back: the stream delivers it again after delay, to whoever asks."""
        self._settle(NAK + b' {"delay":%d}' % round(delay * 1e9) if delay > 0 else NAK, False)

    def term(self, reason: str = "") -> None:
        """Settles it for good without success; the reason appears in an advisory of the stream."""
        self._settle(TERM + b" " + reason.replace("\n", " ").encode() if reason else TERM, True)

    def _settle(self, body: bytes, confirm: bool) -> None:
        """A second word, or one after the source has given all back, changes nothing."""
        if self._settled or not self._source.holds(self):
            return
        self._settled = True
        self._source.settle(self, body, confirm)

    def as_before(self) -> None:
        """Makes it, which is a dead letter given again, what it was before: a batch of the same source, with the same id."""
        self.again = True
        self.subject, self.id = self.headers.get("Pw-Subject", ""), self.headers.get("Pw-Source-Id", "")
        stored = time_ns(self.headers.get("Pw-Stored", ""))
        self.stored_ns = self.stored_ns if stored is None else stored


def delivery_of(source: Any, msg: Msg) -> Optional[Delivery]:
    """The delivery of a message; None for what is none.

    Its place stands in the reply subject, $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or
    in the longer form with domain and account before the stream.
    """
    if not msg.reply.startswith(_PREFIX):
        return None
    words = msg.reply[len(_PREFIX):].split(".")
    numbers = words[4:9] if len(words) > 7 else words[2:]
    if len(numbers) != 5 or not all(n.isascii() and n.isdigit() and len(n) <= _DIGITS for n in numbers):
        return None
    delivery = Delivery(source, msg, [int(n) for n in numbers])
    if source.stream == "DEAD" and msg.subject.startswith("pw.again."):
        delivery.as_before()
    return delivery


def time_ns(text: str) -> Optional[int]:
    """Nanoseconds of a time as Go writes it in RFC 3339, with up to nine decimals; None for another text."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return None
    try:
        seconds = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(seconds.timestamp()) * 10**9 + int(fraction[:9].ljust(9, "0"))
