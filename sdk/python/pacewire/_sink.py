"""Publishing to streams: each message at least once, and with the same id however often it is sent."""
from __future__ import annotations

import asyncio
import json
import random
import secrets
from typing import Any, Optional

from ._nats import Denied, Disconnected, Error, TooLarge
from ._trouble import SILENT, Trouble
from ._wire import Msg

_RETRY_LATE = 100.0  # seconds; the streams know an id for 120
_OVERHEAD = 256  # of a message: protocol line, id, names of headers
_FOREVER = float("inf")
_METRICS = "pw.metrics."


class Refused(Error):
    """A stream refuses a message for good."""


class _Parcel:
    """One message under way."""

    __slots__ = ("subject", "data", "headers", "own", "size", "future", "token", "area", "order", "sends", "refused", "waiting", "due", "first", "sent")

    def __init__(self, subject: str, data: bytes, headers: dict[str, str], own: bool, size: int, future: asyncio.Future[int]):
        self.subject, self.data, self.headers, self.own, self.size, self.future = subject, data, headers, own, size, future
        self.area = area_of(subject)
        self.token = ""
        self.order = self.sends = self.refused = 0
        self.waiting = False  # to be sent at due; else sent, and due is when its answer is no longer waited for
        self.due = self.first = self.sent = 0.0


class Sink:
    """Has a window of messages under way, which bounds them in bytes and in number. They leave in the order of send; only trouble
    reorders them. What nobody answers for is sent again, for ever."""

    def __init__(
        self, client: Any, *, ids: str, max_bytes: int = 4 << 20, max_messages: int = 256, log: Any = None, ack_timeout: float = 10.0,
    ):
        self._client, self._log, self._ack_timeout = client, log, ack_timeout
        self._max_bytes, self._max_messages = max_bytes, max_messages
        self._ids = ids
        self._boot()
        self._under_way: dict[str, _Parcel] = {}  # by the last part of the reply subject
        self._bytes = self._order = self._waiting = 0
        self._troubles: dict[str, Trouble] = {}
        self._state = "ok"
        self._counts = dict.fromkeys(
            ("stored", "bytes", "resent", "late_resend", "duplicates", "foreign_duplicate", "storage_full", "overloaded", "no_stream", "refused", "strange"), 0)
        self._turn = asyncio.Lock()  # held by the one send that may wait for room: it is fair, so nobody is overtaken
        self._room: Optional[asyncio.Future[None]] = None
        self._idle: list[asyncio.Future[None]] = []
        self._timer: Optional[asyncio.TimerHandle] = None
        self._closed = False
        self._inbox = client.new_inbox() + "."
        self._sub = client.subscribe(self._inbox + "*", self._on_answer)
        client.watch(self)

    @property
    def state(self) -> str:
        """How publishing goes: ok, disconnected, storage_full, no_stream or denied. It goes on trying in each of them."""
        return self._state if self._client.connected else "disconnected"

    @property
    def stats(self) -> dict[str, int]:
        """Counters since the start, and what is under way now."""
        return {**self._counts, "in_flight": len(self._under_way), "in_flight_bytes": self._bytes}

    async def send(
        self, subject: str, data: bytes, *, id: str = "", content_type: str = "", headers: Optional[dict[str, str]] = None,
    ) -> asyncio.Future[int]:
        """Puts a message under way, and waits while the window is full.

        The future says where in the stream it is stored, or why it never will be: Refused, Denied, TooLarge. Without an id it gets
        the next one of this sink.
        """
        size = _OVERHEAD + len(subject) + len(id) + len(content_type) + len(data) + sum(len(k) + len(v) + 4 for k, v in (headers or {}).items())
        if size > self._client.max_payload:
            raise TooLarge(f"{size} bytes on {subject}, the server takes {self._client.max_payload}")
        async with self._turn:
            while not self._fits(size):
                if self._room is None:
                    self._room = asyncio.get_running_loop().create_future()
                await asyncio.wait({self._room})
            if self._closed:
                raise Disconnected("the sink is closed")
            return self._start(subject, data, size, id, content_type, headers)

    def _start(
        self, subject: str, data: bytes, size: int, id: str, content_type: str, headers: Optional[dict[str, str]],
    ) -> asyncio.Future[int]:
        loop = asyncio.get_running_loop()
        all_headers = {"Nats-Msg-Id": id or self._next_id(subject)}
        if content_type:
            all_headers["Content-Type"] = content_type
        if headers:
            all_headers.update(headers)
        parcel = _Parcel(subject, data, all_headers, not id, size, loop.create_future())
        self._bytes += size
        self._admit(parcel)
        now = loop.time()
        if self._waiting or not self._client.connected:
            self._postpone(parcel, now)
            self._arm(0.0)
        else:
            self._transmit(parcel, now)
            self._arm(self._rest())
        return parcel.future

    def _admit(self, parcel: _Parcel) -> None:
        """Gives a parcel a reply subject that no other message has had."""
        self._order += 1
        parcel.order, parcel.token = self._order, str(self._order)
        self._under_way[parcel.token] = parcel

    async def flush(self) -> None:
        """Waits until nothing is under way."""
        if self._under_way:
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def close(self) -> None:
        """Ends it. What is under way fails; flush before has it stored."""
        if self._closed:
            return
        self._closed = True
        self._client.unwatch(self)
        self._sub.unsubscribe()
        self._disarm()
        for parcel in list(self._under_way.values()):
            self._finish(parcel, Disconnected("closed before the stream had said that it has the message"))
        self._make_room()

    # Ids.

    def _boot(self) -> None:
        """A random part that nobody can know before us."""
        self._stem = f"{self._ids}/{secrets.token_hex(8)}/"
        self._batches = self._others = 0

    def _next_id(self, subject: str) -> str:
        """Readers take a hole in the numbers of batches for a loss: what goes elsewhere has numbers of its own."""
        if subject.startswith(_METRICS):
            self._batches += 1
            return self._stem + str(self._batches)
        self._others += 1
        return f"{self._stem}e{self._others}"

    # The window.

    def _fits(self, size: int) -> bool:
        if self._closed or not self._under_way:
            return True  # what is larger than the window goes alone
        return len(self._under_way) < self._max_messages and self._bytes + size <= self._max_bytes

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def _finish(self, parcel: _Parcel, err: Optional[Exception] = None, seq: int = 0) -> None:
        del self._under_way[parcel.token]
        self._resume(parcel)
        self._bytes -= parcel.size
        future = parcel.future
        if err is None:
            self._counts["stored"] += 1
            self._counts["bytes"] += len(parcel.data)
            if not future.done():
                future.set_result(seq)
        else:
            self._counts["refused"] += 1
            if not future.done():
                future.set_exception(err)
                future.exception()  # whoever waits gets it; nobody has to
        self._make_room()
        if not self._under_way:
            self._disarm()
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()

    def _transmit(self, parcel: _Parcel, now: float) -> None:
        self._resume(parcel)
        parcel.due, parcel.sent = now + self._ack_timeout, now
        try:
            self._client.publish(parcel.subject, parcel.data, reply=self._inbox + parcel.token, headers=parcel.headers)
        except Disconnected:
            self._postpone(parcel, parcel.due)  # up makes it due
        except (TooLarge, ValueError) as err:  # the latter of a subject or a header that would break out of its line
            self._finish(parcel, err)
        except Error:  # the server does not read
            self._postpone(parcel, now + 1)
        else:
            parcel.sends += 1
            if parcel.sends == 1:
                parcel.first = now
                return
            self._counts["resent"] += 1
            self._counts["late_resend"] += now - parcel.first > _RETRY_LATE

    def _postpone(self, parcel: _Parcel, due: float) -> None:
        if not parcel.waiting:
            parcel.waiting = True
            self._waiting += 1
        parcel.due = due

    def _resume(self, parcel: _Parcel) -> None:
        if parcel.waiting:
            parcel.waiting = False
            self._waiting -= 1

    # What is due.

    def _rest(self) -> float:
        return min(self._ack_timeout, SILENT / 2)

    def _arm(self, delay: float) -> None:
        """Has _scan run in delay seconds, or before."""
        loop = asyncio.get_running_loop()
        when = loop.time() + delay
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._scan)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _scan(self) -> None:
        """Sends what is due, oldest first."""
        self._timer = None
        if self._closed or not self._under_way or not self._client.connected:
            return  # up makes everything due
        now = asyncio.get_running_loop().time()
        self._listen(now)
        rest = self._rest()
        asking: set[str] = set()
        for parcel in sorted(self._under_way.values(), key=lambda p: p.order):
            trouble = self._trouble(parcel.area)
            if trouble.on:
                if parcel.area in asking:
                    continue  # the oldest asks for all
                asking.add(parcel.area)
                if trouble.next <= now:
                    trouble.again(now)
                    self._transmit(parcel, now)
                rest = min(rest, trouble.next - now)
            elif parcel.due <= now or trouble.overtaken(parcel.sent, now) and not parcel.waiting:
                self._transmit(parcel, now)
            else:
                rest = min(rest, parcel.due - now)
        for area, trouble in self._troubles.items():
            trouble.on = trouble.on and area in asking  # nobody waits any more
        if self._under_way:
            self._arm(max(rest, 0.001))

    def _listen(self, now: float) -> None:
        """Looks for streams that have become silent: from then on their oldest message asks alone."""
        sent: dict[str, float] = {}
        for parcel in self._under_way.values():
            if not parcel.waiting:
                sent[parcel.area] = min(parcel.sent, sent.get(parcel.area, _FOREVER))
        for area, since in sent.items():
            trouble = self._trouble(area)
            if not trouble.on and trouble.is_silent(since, now):
                self._enter(area, True, now)

    def _trouble(self, area: str) -> Trouble:
        trouble = self._troubles.get(area)
        if trouble is None:
            trouble = self._troubles[area] = Trouble()
        return trouble

    def _enter(self, area: str, silent: bool, now: float) -> None:
        trouble = self._trouble(area)
        if not trouble.on:
            trouble.begin(silent, now)
            self._postpone_all(now, area)
        self._state = "no_stream"
        self._arm(0.0)

    def _postpone_all(self, due: float, area: str = "") -> None:
        for parcel in self._under_way.values():
            if not area or parcel.area == area:
                self._postpone(parcel, due)

    # Answers.

    def _on_answer(self, msg: Msg) -> None:
        parcel = self._under_way.get(msg.subject[len(self._inbox):])
        answer = parse_answer(msg)
        if parcel is None or answer is None:
            self._counts["strange"] += 1
            return
        now = asyncio.get_running_loop().time()
        if not answer.nobody:
            self._heard(parcel, now)
        if answer.seq:
            self._stored(parcel, answer, now)
        else:
            self._later(parcel, answer, now)

    def _heard(self, parcel: _Parcel, now: float) -> None:
        trouble = self._trouble(parcel.area)
        was, calm = trouble.on, trouble.calm
        trouble.answered(parcel.sends, parcel.sent, now)
        if was:
            self._postpone_all(now + calm, parcel.area)
            self._arm(calm)

    def _stored(self, parcel: _Parcel, answer: Answer, now: float) -> None:
        if answer.duplicate and parcel.own and parcel.sends == 1:
            self._foreign(parcel, now)
            return
        self._counts["duplicates"] += answer.duplicate
        # A full stream knows what it has: that says nothing of room.
        if self._state != "ok" and not (answer.duplicate and self._state == "storage_full") and not any(t.on for t in self._troubles.values()):
            if self._state == "storage_full":  # there is room again
                for other in self._under_way.values():
                    other.due = now if other.waiting else other.due
                self._arm(0.0)
            self._state = "ok"
        self._finish(parcel, seq=answer.seq)

    def _foreign(self, parcel: _Parcel, now: float) -> None:
        """Somebody has used an id of ours before us, so the message is not stored. All further ids come from a new boot."""
        self._counts["foreign_duplicate"] += 1
        used = parcel.headers["Nats-Msg-Id"]
        if self._log is not None:
            self._log.warning("id was used by another publisher", extra={"id": used, "subject": parcel.subject})
        if used.startswith(self._stem):
            self._boot()
        parcel.headers["Nats-Msg-Id"] = self._next_id(parcel.subject)
        del self._under_way[parcel.token]
        order = parcel.order
        self._admit(parcel)
        parcel.order, parcel.sends = order, 0
        self._postpone(parcel, now)
        self._arm(0.0)

    def _later(self, parcel: _Parcel, answer: Answer, now: float) -> None:
        """Decides when a message that was not stored is sent again, if ever."""
        parcel.refused += 1
        tries = parcel.refused - 1
        if answer.code == 429:
            self._counts["overloaded"] += 1
            self._postpone(parcel, now + backoff(0.05, 2.0, tries))
        elif answer.nobody:
            self._counts["no_stream"] += 1
            self._postpone(parcel, now)
            self._enter(parcel.area, False, now)
        elif answer.err_code == _TOO_BIG:
            self._finish(parcel, TooLarge(f"publish {parcel.subject}: {answer.text}"))
        elif answer.code >= 500 or answer.err_code == _ACCOUNT_FULL:
            self._counts["storage_full"] += 1
            self._state = "storage_full"
            self._postpone(parcel, now + backoff(1.0, 15.0, tries))
        else:
            self._finish(parcel, Refused(f"publish {parcel.subject}: {answer.text} ({answer.err_code})"))
        if parcel.waiting:
            self._arm(max(parcel.due - now, 0.0))

    # What the client tells.

    def up(self) -> None:
        """Of everything under way it is unknown whether the stream has it."""
        self._troubles.clear()
        if self._under_way:
            self._postpone_all(asyncio.get_running_loop().time())
            self._arm(0.0)

    def down(self) -> None:
        """What is under way waits for the next connection."""

    def closed(self) -> None:
        """There is no next connection."""
        self.close()

    def denied(self, err: Denied) -> None:
        """Fails what may not be published, or of which no answer may be heard."""
        deaf = err.subscribe and err.subject.startswith(self._inbox)
        if err.subscribe and not deaf:
            return
        hit = [p for p in self._under_way.values() if deaf or p.subject == err.subject]
        for parcel in hit:
            self._finish(parcel, err)
        if hit or deaf:
            self._state = "denied"


class Answer:
    """What a stream says to a message: its place, or an error."""

    __slots__ = ("seq", "duplicate", "code", "err_code", "text")

    def __init__(self, seq: int = 0, duplicate: bool = False, code: int = 0, err_code: int = 0, text: str = ""):
        self.seq, self.duplicate, self.code, self.err_code, self.text = seq, duplicate, code, err_code, text

    @property
    def nobody(self) -> bool:
        """There is no stream, or nobody leads it now, or who does waits for a majority."""
        return self.err_code in _NOBODY if self.err_code else self.code == 503


_NOBODY = frozenset((10008, 10009, 10118, 10158))
_TOO_BIG, _ACCOUNT_FULL = 10054, 10002


def parse_answer(msg: Msg) -> Optional[Answer]:
    """The answer in a message; None if it is none of a stream. It is strict, for whoever knows a reply subject can have the bus
    answer there."""
    if msg.headers or msg.status:
        return Answer(code=503, text="no responders") if msg.status == "503" and not msg.data else None
    try:
        said = json.loads(msg.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("type"):
        return None
    err = said.get("error")
    if err is not None:
        return _error_of(err)
    seq, stream = said.get("seq"), said.get("stream")
    if type(seq) is not int or seq <= 0 or not isinstance(stream, str) or not stream:
        return None
    return Answer(seq, said.get("duplicate") is True)


def _error_of(err: Any) -> Optional[Answer]:
    if not isinstance(err, dict):
        return None
    code, err_code = err.get("code"), err.get("err_code", 0)
    if type(code) is not int or not code or type(err_code) is not int:
        return None
    return Answer(code=code, err_code=err_code, text=str(err.get("description", ""))[:500])


def area_of(subject: str) -> str:
    """What tells messages of one stream from those of another: the second token."""
    names = subject.split(".", 2)
    return names[1] if len(names) > 1 and names[0] == "pw" else ""


def backoff(first: float, most: float, tries: int) -> float:
    """first x 2^tries with a limit, and a quarter of jitter."""
    return min(first * 2 ** min(tries, 16), most) * random.uniform(0.75, 1.0)
