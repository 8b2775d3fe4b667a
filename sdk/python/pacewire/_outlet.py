"""What a plugin sends: bounded by what the operator allows, tagged, cut into messages, held while the bus is away."""
from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Callable, Tuple

from ._batch import CONTENT_TYPE, Batch, counted_frames, frames
from ._counters import Counters
from ._limits import Limits
from ._nats import Error
from ._slice import default_tag
from ._subjects import derived_id, subject

Parcel = Tuple[str, bytes, int, "asyncio.Future[Any]"]  # subject, body, points in it, and what says that it is stored
QUEUE_BYTES = 16 << 20
_PARCEL = 512  # bytes that a message takes besides its body


class NotStored(Exception):
    """Points that were dropped: the queue was full, or the bus refuses them for good."""


class Outlet:
    """Sends the points of one process. What waits outlives a change of config."""

    def __init__(self, sink: Any, host: str, plugin: str, counters: Counters, fail: Callable[[str, BaseException], None]):
        self._sink, self.host, self.plugin = sink, host, plugin
        self._count, self._fail = counters, fail
        self.limits = Limits()
        self._tags: dict[str, str] = {}
        self._most, self._policy = QUEUE_BYTES, "block"
        self._waiting: deque[Parcel] = deque()
        self._bytes = 0
        self._moved = asyncio.Condition()
        self._pump: asyncio.Task[None] | None = None

    def shape(self, work: dict[str, Any]) -> None:
        """Sets the bounds that a config asks for."""
        self._most, self._policy = work.get("queue_bytes") or QUEUE_BYTES, work.get("overflow") or "block"
        self._tags = work.get("tags", {})
        self.limits.set(work.get("max_rate", 0), work.get("max_series", 0))

    def queued(self) -> tuple[int, int]:
        """Messages that wait or are under way, and their bytes."""
        stats = self._sink.stats
        return len(self._waiting) + stats.get("in_flight", 0), self._bytes + stats.get("in_flight_bytes", 0)

    async def put(self, batch: Batch) -> list[asyncio.Future[Any]]:
        """Queues the points of a collector; the futures say when each message is stored. It waits while the queue is full,
        unless the operator wants points dropped then."""
        stored = []
        for body, points in self._bodies(batch, self.host):
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.add_done_callback(_seen)
            stored.append(done)
            await self._queue((subject("metrics", self.host, self.plugin), body, points, done))
        return stored

    async def forward(self, batch: Batch, host: str, source: str) -> None:
        """Sends what was made of the message with the id source, and returns when it is stored. The same output has the same
        ids, so what is made twice is stored once."""
        bodies = self._bodies(batch, host)
        sent = []
        for n, (body, points) in enumerate(bodies, 1):
            name = derived_id(source, self.plugin, n) if source else ""
            sent.append((await self._sink.send(subject("metrics", host, self.plugin), body, id=name, content_type=CONTENT_TYPE),
                         len(body), points))
        for future, size, points in sent:
            await future
            self._stored(size, points)

    def _bodies(self, batch: Batch, host: str) -> list[tuple[bytes, int]]:
        for reason, points in self.limits.apply(batch, host).items():
            self._count.drop(reason, points)
        for key, value in self._tags.items():
            default_tag(batch, key, value)
        bodies = counted_frames(batch)
        for reason, points in batch.drops.items():
            self._count.drop(reason, points)
        return bodies

    async def _queue(self, parcel: Parcel) -> None:
        size = len(parcel[1]) + _PARCEL
        while self._bytes and self._bytes + size > self._most:
            if self._policy == "drop_new":
                self._refuse(parcel, "overflow")
                return
            if self._policy == "drop_oldest":
                self._refuse(self._pop(), "overflow")
                continue
            async with self._moved:
                await self._moved.wait()
        self._waiting.append(parcel)
        self._bytes += size
        if self._pump is None or self._pump.done():
            self._pump = asyncio.ensure_future(self._run())

    def _pop(self) -> Parcel:
        parcel = self._waiting.popleft()
        self._bytes -= len(parcel[1]) + _PARCEL
        return parcel

    async def _run(self) -> None:
        while self._waiting:
            parcel = self._pop()
            async with self._moved:
                self._moved.notify_all()
            try:
                future = await self._sink.send(parcel[0], parcel[1], content_type=CONTENT_TYPE)
            except asyncio.CancelledError:
                self._refuse(parcel, "not_sent")
                raise
            except Error as err:
                self._lost(parcel, err)
            else:
                future.add_done_callback(lambda f, p=parcel: self._settled(f, p))

    def _settled(self, future: asyncio.Future[Any], parcel: Parcel) -> None:
        _, body, points, done = parcel
        err = future.exception()
        if err is not None:
            self._lost(parcel, err)
            return
        self._stored(len(body), points)
        if not done.done():
            done.set_result(None)

    def _lost(self, parcel: Parcel, err: BaseException) -> None:
        self._fail("publish", err)
        self._refuse(parcel, "not_sent")

    def _refuse(self, parcel: Parcel, reason: str) -> None:
        self._count.drop(reason, parcel[2])
        if not parcel[3].done():
            parcel[3].set_exception(NotStored(f"{parcel[2]} points were dropped: {reason}"))

    def _stored(self, size: int, points: int) -> None:
        for name, n in (("points_out", points), ("batches_out", 1), ("bytes_out", size)):
            self._count.n[name] += n

    async def event(self, kind: str, batch: Batch) -> None:
        """Sends a batch as one event, and returns when it is stored."""
        for body in frames(batch):
            await (await self._sink.send(subject("events", self.host, self.plugin, kind), body, content_type=CONTENT_TYPE))

    async def flush(self, limit: float) -> None:
        """Waits until all that was put is stored. Raises asyncio.TimeoutError."""
        end = time.monotonic() + limit
        if self._pump is not None and not self._pump.done():
            await asyncio.wait({self._pump}, timeout=limit)
        if self._waiting:
            raise asyncio.TimeoutError(f"{len(self._waiting)} messages wait for the bus")
        await asyncio.wait_for(self._sink.flush(), max(end - time.monotonic(), 0.1))

    async def close(self) -> None:
        """Gives up what still waits."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
        for parcel in self._waiting:
            self._count.drop("not_sent", parcel[2])


def _seen(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
