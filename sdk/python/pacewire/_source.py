"""Reading a stream by a durable pull consumer: deliveries, each to be settled."""
from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from typing import Any, Optional

from ._acks import AckLog
from ._delivery import ACK, NAK, PROGRESS, Delivery, delivery_of
from ._gaps import Gaps
from ._nats import Denied, Error
from ._repeats import Repeats
from ._wire import Msg

_BEAT, _BEAT_CLUSTER = 5.0, 2.0  # seconds between signs of life; in a cluster another server may lead while the one that was asked hangs
_LANES = 2
_LARGEST = (1 << 20) + (64 << 10)  # bytes of a message: one must fit a lane
_BUSY, _CALM = 0.25, 2.5  # seconds between two looks
_STOP_WAIT = 2.0
_BEHIND_END = 1.0  # rest of an input that gives what is behind its end: what was given back before the end may come once more
_LEAVE_AFTER, _SHARED_FOR = 3.0, 60.0


class _Lane:
    """One subscription with at most one pull. Two in turn ask so that the stream never waits for us."""

    def __init__(self) -> None:
        self.sub: Any = None
        self.inbox = ""
        self.pull = 0  # number of the pull
        self.asked = 0  # of the pull, still to come
        self.queued = 0  # here, not given out
        self.share = 0  # messages asked for the next time
        self.retry = 0.0

    @property
    def reply(self) -> str:
        return self.inbox + str(self.pull)


class Source:
    """Gives out the deliveries of a durable consumer, to one reader or several: ``async for d in source``.

    What is given out and not settled is signalled as worked on, for as long as this loop runs. Reconnects, a restarted server, a
    new leader and a consumer made anew only make the reader wait. Behind end, a place in the stream, nothing is given out.
    """

    def __init__(
        self, client: Any, stream: str, durable: str, *, max_messages: int = 64, max_bytes: int = 4 << 20, end: int = 0, log: Any = None,
        expires: float = 30.0, progress: float = 1.5,
    ):
        self.stream, self.durable = stream, durable
        self._client, self._log = client, log
        self._max_messages = max(max_messages, _LANES)
        self._max_bytes = max(max_bytes, _LANES * _LARGEST)
        self._end, self._expires, self._progress = end, expires, progress
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._lanes = [_Lane() for _ in range(_LANES)]
        self._queue: deque[tuple[_Lane, Delivery]] = deque()
        self._held: dict[Delivery, None] = {}  # the longest not signalled first
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._acks: Any = None  # from the begin on
        self._repeats = Repeats()
        self._gaps = Gaps()
        self._counts = dict.fromkeys(("delivered", "bytes", "redelivered", "repeated", "resets", "left"), 0)
        self._beat = _BEAT
        self._heard = 0.0
        self._given = 0  # consumer sequence of the last message
        self._shared = self._away = 0.0  # when others were given something last; since when the connection is lost
        self._stopped = False
        self._failed: Optional[Denied] = None
        self._timer: Optional[asyncio.TimerHandle] = None

    @property
    def stats(self) -> dict[str, int]:
        """Counters since the start, and what is held now."""
        unconfirmed = self._acks.unconfirmed if self._acks is not None else 0
        return {**self._counts, "held": len(self._held), "queued": len(self._queue), "lost_unread": self._gaps.lost, "unconfirmed": unconfirmed}

    def __aiter__(self) -> Source:
        if self._acks is None and not self._stopped:
            self._begin()
        return self

    async def __anext__(self) -> Delivery:
        while True:
            self.__aiter__()
            if self._failed is not None:
                raise self._failed
            if self._stopped:
                raise StopAsyncIteration
            delivery = self._next()
            if delivery is None:
                await self._wait()
            elif not self._end or delivery.stream_seq <= self._end:
                return delivery
            else:
                await delivery.ack()
                if not self._queue:
                    await asyncio.sleep(_BEHIND_END)

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiters.remove(waiter)
            else:
                self._wake()  # what it was woken for is somebody else's now
            raise

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._waiters:
            self._wake()

    def _begin(self) -> None:
        for lane in self._lanes:
            lane.inbox = self._client.new_inbox() + "."
            lane.sub = self._client.subscribe(lane.inbox + "*", lambda msg, lane=lane: self._on_msg(lane, msg))
        self._acks = AckLog(self._client)
        self._client.watch(self)
        if self._client.connected:
            self._reset()
        self._look()

    # Asking.

    def _reset(self) -> None:
        """Forgets the pulls and asks anew: after a connect, or when the stream has been silent."""
        self._heard = asyncio.get_running_loop().time()
        self._beat = min(_BEAT_CLUSTER if self._client.info.get("cluster") else _BEAT, self._expires / 2)  # or the server refuses
        for lane in self._lanes:
            lane.asked, lane.retry, lane.share = 0, 0.0, self._max_messages // _LANES
        # The server serves the lanes in turn, so shares of equal size would end together: the first one is half as long.
        self._lanes[0].share = max(1, self._lanes[0].share // 2)
        self._pull_all()

    def _pull_all(self) -> None:
        for lane in self._lanes:
            self._pull(lane)

    def _pull(self, lane: _Lane) -> None:
        """Asks for the lane's share once that of before is given out."""
        if lane.asked or lane.queued or self._stopped or self._failed or asyncio.get_running_loop().time() < lane.retry:
            return
        lane.pull += 1
        body = {"expires": round(self._expires * 1e9), "batch": lane.share, "max_bytes": self._max_bytes // _LANES,
                "idle_heartbeat": round(self._beat * 1e9)}
        try:
            self._client.publish(self._subject, json.dumps(body).encode(), reply=lane.reply)
        except Error:
            return  # up asks anew
        lane.asked, lane.share = lane.share, self._max_messages // _LANES

    def _on_msg(self, lane: _Lane, msg: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if msg.status or not msg.reply:
            self._status(lane, msg)
            return
        delivery = delivery_of(self, msg)
        if delivery is None or len(self._queue) > 2 * self._max_messages:  # what nobody asked for; it comes again
            return
        delivery.signalled = self._heard
        lane.asked = max(lane.asked - 1, 0)
        lane.queued += 1
        self._queue.append((lane, delivery))
        self._wake()

    def _status(self, lane: _Lane, msg: Msg) -> None:
        """Acts on what the stream says about a pull."""
        if msg.status in ("", "100") or msg.subject != lane.reply:
            return  # a sign of life, or about a pull of before
        lane.asked = 0
        about = (msg.headers or {}).get("Description", "")
        if msg.status not in ("408", "409"):  # 404, 503: no such consumer, or no leader
            lane.retry = self._heard + random.uniform(0.4, 0.5)
        elif msg.status == "409" and about not in ("Message Size Exceeds MaxBytes", "Batch Completed"):
            lane.retry = self._heard + random.uniform(0.2, 0.25)
            if self._log is not None:
                self._log.info("pull ended", extra={"reason": about, "stream": self.stream, "consumer": self.durable})
        self._pull(lane)

    # Giving out.

    def _next(self) -> Optional[Delivery]:
        self._leave()
        while self._queue:
            lane, delivery = self._queue.popleft()
            lane.queued -= 1
            self._pull(lane)
            self._count(delivery)
            if self._repeated(delivery):
                continue
            self._held[delivery] = None
            self._counts["delivered"] += 1
            self._counts["bytes"] += len(delivery.data)
            self._counts["redelivered"] += delivery.deliveries > 1
            if not delivery.again:  # the letters of a source have rightful holes between them
                self._gaps.see(delivery)
            if self._queue:
                self._wake()
            return delivery
        self._pull_all()  # lanes that could not ask before
        return None

    def _count(self, delivery: Delivery) -> None:
        if 0 < self._given < delivery.consumer_seq - 1:
            self._shared = asyncio.get_running_loop().time()
        self._given = delivery.consumer_seq

    def _leave(self) -> None:
        """Drops what is here and not given out, when we are away for so long that others are given it. Who reads alone keeps it."""
        if not self._away or not self._shared or not self._queue:
            return
        if asyncio.get_running_loop().time() - self._away > _LEAVE_AFTER and self._away - self._shared < _SHARED_FOR:
            self._counts["left"] += len(self._queue)
            self._forget_queue()

    def _forget_queue(self) -> None:
        self._queue.clear()
        for lane in self._lanes:
            lane.queued = 0

    def _repeated(self, delivery: Delivery) -> bool:
        """Deals with what was settled here, or is in hand. What was settled is so again; what is in hand is settled by who has it."""
        now = asyncio.get_running_loop().time()
        if self._repeats.first(delivery):
            return False
        settled = self._repeats.settled(delivery, now)
        if not settled and not any(d.stream_seq == delivery.stream_seq and d.stored_ns == delivery.stored_ns for d in self._held):
            return False
        self._counts["repeated"] += 1
        if settled:
            self._acks.send(delivery.reply, ACK)
        return True

    # Settling; a delivery calls these.

    def holds(self, delivery: Delivery) -> bool:
        return delivery in self._held

    def settle(self, delivery: Delivery, body: bytes, confirm: bool) -> None:
        del self._held[delivery]
        if confirm:
            self._repeats.note(delivery, asyncio.get_running_loop().time())
            self._acks.send(delivery.reply, body)
        else:
            self._publish(delivery.reply, body)  # lost, it only comes later: after the stream's own wait

    async def ready(self) -> None:
        await self._client.ready()

    def _publish(self, subject: str, body: bytes) -> None:
        try:
            self._client.publish(subject, body)
        except Error:
            pass

    # Looking after all that.

    def _look(self) -> None:
        """Signals progress, notices silence and looks after acks."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._client.connected:
            self._signal(now)
            self._acks.keep(now, self._heard)
            if not self._stopped:
                self._listen(now)
        busy = self._held or self._queue or len(self._acks) or any(lane.retry > now for lane in self._lanes)
        self._timer = loop.call_later(min(_BUSY, self._progress / 4) if busy else min(_CALM, self._progress * 5 / 3), self._look)

    def _signal(self, now: float) -> None:
        before = now - self._progress
        for held in list(self._held):
            if held.signalled > before:
                break
            held.signalled = now
            del self._held[held]
            self._held[held] = None
            self._publish(held.reply, PROGRESS)
        for _, queued in self._queue:
            if queued.signalled <= before:
                queued.signalled = now
                self._publish(queued.reply, PROGRESS)

    def _listen(self, now: float) -> None:
        if any(lane.asked for lane in self._lanes) and now - self._heard > 2.25 * self._beat:
            self._counts["resets"] += 1
            if self._log is not None:
                self._log.warning("stream is silent, asking anew", extra={"stream": self.stream, "consumer": self.durable})
            self._reset()
            self._heard = now - self._beat  # a sign of life would come within a beat: who has been silent is asked again soon
        else:
            self._pull_all()

    async def flush(self) -> None:
        """Waits until the stream has confirmed all that was acknowledged."""
        if self._acks is not None:
            await self._acks.flush()

    async def stop(self) -> None:
        """Ends reading. What is not settled goes back to the stream, for others; what is settled is confirmed, if that is soon."""
        if self._stopped:
            return
        self._stopped = True
        self._wake_all()
        if self._acks is None:
            return
        for lane in self._lanes:
            lane.sub.end()
        if self._client.connected:
            try:
                await self._client.flush(_STOP_WAIT)  # what the server sent before it knew is here
            except (Error, asyncio.TimeoutError):
                pass
        for lane in self._lanes:
            lane.sub.unsubscribe()
        for delivery in [d for _, d in self._queue] + list(self._held):
            self._publish(delivery.reply, NAK)
        self._forget_queue()
        self._held.clear()
        await self._part()

    async def _part(self) -> None:
        """What was given back must have left before the process ends."""
        try:
            if self._client.connected:
                await asyncio.wait_for(self._acks.flush(), _STOP_WAIT)
                await self._client.flush(_STOP_WAIT)
        except (Error, asyncio.TimeoutError):
            pass
        finally:
            self._end_watch()

    def _end_watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._client.unwatch(self)
        self._acks.close()

    # What the client tells.

    def up(self) -> None:
        self._leave()
        self._away = 0.0
        if not self._stopped:
            self._reset()
        self._acks.reconnected()

    def down(self) -> None:
        self._away = asyncio.get_running_loop().time()

    def closed(self) -> None:
        self._stopped = True
        self._end_watch()
        self._wake_all()

    def denied(self, err: Denied) -> None:
        own = any(err.subject == lane.inbox + "*" for lane in self._lanes) if err.subscribe else err.subject == self._subject
        if own:
            self._failed = err
            self._wake_all()
