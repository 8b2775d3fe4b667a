"""The loops of collectors: at an interval, as a stream, and of facts."""
from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING, Any

from ._catalog import metrics_of
from ._clock import now_ns
from ._errors import After, NoData, Permanent, text_of
from ._gather import Gather, points_of
from ._inventory import entry_of_facts
from ._kinds import DictPlugin
from ._ticks import Ticks, around
from ._waits import cancel, either

if TYPE_CHECKING:
    from ._job import Job

SURVEY_EVERY, SURVEY_APART = 3600.0, 10.0
END_LIMIT = 2.0  # seconds that a stream has to end in
_WAIT, _FEW, _MANY = 0.1, 500, 5000  # seconds and items that a stream's batch waits for; items that may wait


async def collect(job: Job) -> None:
    """Asks for points at each tick."""
    place, plugin = job.place, job.place.plugin
    metrics = await metrics_of(place, job.config)
    overran = False

    def missed(n: int) -> None:
        nonlocal overran
        place.count.n["missed"] += n
        if not overran and not job.last_error:
            overran = True
            place.count.fail("overrun", f"{n} ticks were missed: give it a longer interval")
            place.log.warning("collection takes longer than its interval", extra={"missed": n})

    ticks = Ticks(job.work, plugin.host, plugin.name, missed)
    if place.once:
        await _tick(job, metrics, now_ns())
        return
    due = ticks.__aiter__()
    while not job.draining.is_set():
        tick = asyncio.ensure_future(due.__anext__())
        if not await _unless_draining(job, tick):
            return
        try:
            at = tick.result()
        except StopAsyncIteration:
            place.log.info("nothing to do here", extra={"reason": "the schedule is over"})
            place.state("idle")
            await job.draining.wait()
            return
        overran = overran and place.count.n["missed"] > 0
        err = await _tick(job, metrics, at)
        if isinstance(err, Permanent):
            raise err
        if isinstance(err, After):
            await job.rest(err.seconds)


async def _tick(job: Job, metrics: list[Any], at: int) -> BaseException | None:
    """One collection. Points that came before an error are sent: half an answer is worth having."""
    place, plugin = job.place, job.place.plugin
    place.count.n["ticks"] += 1
    gather, failed = Gather(plugin.host, at), None
    try:
        if isinstance(plugin, DictPlugin):
            for one in points_of(plugin.name, await job.call(plugin.collect), at):
                gather.add(one)
        else:
            await job.call(plugin.collect, metrics, each=gather.add)
    except Exception as err:
        failed = err
    try:
        batch = gather.batch()
        if len(batch) or batch.drops:
            await place.outlet.put(batch)
    except Exception as err:  # what was yielded is no point
        failed = failed or err
    job.note(failed)
    return failed


async def _unless_draining(job: Job, task: asyncio.Future[Any]) -> bool:
    """Waits for task, and reports whether it is done; it is cancelled when the job drains first."""
    await either(task, job.draining.wait())
    if task.done():
        return True
    await cancel(task)
    return False


class Ended(BaseException):
    """Ends a generator at its next item."""


class Inflow:
    """The items of a stream on their way from the author's thread. Who is too quick waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop, self._lock = loop, threading.Lock()
        self._items: list[tuple[int, Any]] = []
        self._room: list[concurrent.futures.Future[None]] = []
        self.come = asyncio.Event()
        self.open = True

    def put(self, item: Any) -> concurrent.futures.Future[None] | None:
        """Takes an item; the future, if there is one, is done when there is room for more."""
        with self._lock:
            if not self.open:
                raise Ended
            self._items.append((now_ns(), item))
            n = len(self._items)
            wait: concurrent.futures.Future[None] | None = None
            if n >= _MANY:
                wait = concurrent.futures.Future()
                self._room.append(wait)
        if n in (1, _FEW):
            self._loop.call_soon_threadsafe(self.come.set)
        return wait

    def take(self) -> list[tuple[int, Any]]:
        """All items that wait."""
        with self._lock:
            items, self._items = self._items, []
            room, self._room = self._room, []
        self.come.clear()
        for wait in room:
            wait.set_result(None)
        return items

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """Takes no more. Who waits for room goes on, to meet that at his next item."""
        with self._lock:
            self.open = False
            room, self._room = self._room, []
        for wait in room:
            wait.set_result(None)


async def stream(job: Job) -> None:
    """Sends what a stream yields, what comes together in one message."""
    place, plugin = job.place, job.place.plugin
    inflow = Inflow(asyncio.get_running_loop())
    metrics = await metrics_of(place, job.config)
    source = asyncio.ensure_future(place.crew.call(plugin.stream, metrics, limit=None, each=inflow.put))
    try:
        while not source.done() and not job.draining.is_set():
            await either(source, job.draining.wait(), inflow.come.wait())
            if not source.done() and not job.draining.is_set() and len(inflow) < _FEW:
                await asyncio.sleep(_WAIT)
            await _send(job, inflow)
        inflow.close()
        if not source.done():
            await _end_stream(job, source)
        await _send(job, inflow)
        err = None if source.cancelled() else source.exception()
        if err is not None and not job.draining.is_set():
            job.note(err)
            raise err
    finally:
        inflow.close()
        source.cancel()


async def _end_stream(job: Job, source: asyncio.Future[Any]) -> None:
    await cancel(source)  # an async one is cancelled in its own loop; any other ends at its next item
    if not await job.place.crew.idle(END_LIMIT):
        job.place.log.warning("the stream does not end: let it look at self.stopping; what it yields from now on is left out")


async def _send(job: Job, inflow: Inflow) -> None:
    items = inflow.take()
    if not items:
        return
    gather, failed = Gather(job.place.plugin.host), None
    for at, item in items:
        try:
            gather.add_at(item, at)
        except Exception as err:
            failed = err
    batch = gather.batch()
    if len(batch) or batch.drops:
        await job.place.outlet.put(batch)
    job.note(failed)


async def keep_facts(job: Job) -> None:
    """Collects facts at start, each hour or as the config says, and when a refresh asks; one collection answers all who ask."""
    place = job.place
    every = job.work.get("every_ms", 0) / 1000 or SURVEY_EVERY
    asked: list[asyncio.Future[None]] = []
    try:
        while not job.draining.is_set():
            begun = time.monotonic()
            while not place.refresh.empty():
                asked.append(place.refresh.get_nowait())
            await _survey(job)
            for order in asked:
                if not order.done():
                    order.set_result(None)
            asked.clear()
            if place.once:
                return
            order = asyncio.ensure_future(place.refresh.get())
            await either(order, job.draining.wait(), seconds=around(every))
            if order.done():
                asked.append(order.result())
            else:
                order.cancel()
            if not job.draining.is_set():
                await job.rest(max(begun + SURVEY_APART - time.monotonic(), 0.001))
    finally:
        for order in asked:
            if not order.done():
                order.set_result(None)


async def _survey(job: Job) -> None:
    place = job.place
    place.count.n["ticks"] += 1
    data, failed, begun = None, None, time.monotonic()
    try:
        data = await job.call(place.plugin.collect)
    except Exception as err:
        failed = err
    entry = entry_of_facts(data, None if isinstance(failed, NoData) else failed, time.monotonic() - begun)
    place.keeps(entry)
    if failed is None and entry.fault:
        failed = ValueError(entry.fault["message"])
    if entry.fault and entry.fault["code"] == "dependency":
        place.log.debug("facts of this host cannot be read", extra={"error": text_of(failed) if failed else ""})
        failed = None
    job.note(failed)
    if isinstance(failed, Permanent):
        raise failed
