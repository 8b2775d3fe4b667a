"""The loops of processors and publishers: a delivery in, a call, and the delivery settled."""
from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from typing import TYPE_CHECKING, Any, NoReturn

from ._batch import Batch, BatchError, decode, frames
from ._errors import NoData, Permanent, TooLarge, pause, text_of
from ._gather import Gather
from ._kinds import Event, overridden
from ._metric import from_batch
from ._slice import cut, default_tag
from ._subjects import untoken
from ._waits import cancel, either

if TYPE_CHECKING:
    from ._job import Job

TRIES = 5  # that a processor is given a batch before it goes to the dead letters
EVENTS = 64  # deliveries of events that one call is given at most
NAK_DELAY = 30.0  # seconds that a batch waits which the bus did not let be settled


async def read(job: Job) -> None:
    """Works on the inputs until the job drains, as many calls side by side as the config says."""
    inputs = job.work.get("inputs", [])
    if not inputs:
        await job.draining.wait()
        return
    lanes = max(1, job.work.get("parallel", 0))
    turn = asyncio.Semaphore(lanes)
    sources = [job.place.source(i, job.work) for i in inputs]
    readers = [_Reader(job, given, source, turn) for given, source in zip(inputs, sources)]
    tasks = [asyncio.ensure_future(reader.run()) for reader in readers for _ in range(lanes)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await cancel(*tasks)
        for source in sources:
            await source.stop()


class _Settled(Exception):
    """The batch was set aside, or goes to somebody else."""


class _Reader:
    """What the lanes of one input do."""

    def __init__(self, job: Job, given: dict[str, Any], source: Any, turn: asyncio.Semaphore):
        self.job, self.place, self.plugin = job, job.place, job.place.plugin
        self.stream, self.durable, self.source, self.turn = given["stream"], given["durable"], source, turn
        self.columns = overridden(self.plugin, "process_batch" if self.plugin.kind == "processor" else "publish_batch")
        self.events = self.plugin.kind == "publisher" and overridden(self.plugin, "publish_events")

    async def run(self) -> None:
        """Takes deliveries until the job drains, or the input ends."""
        deliveries = self.source.__aiter__()
        while not self.job.draining.is_set():
            coming = asyncio.ensure_future(deliveries.__anext__())
            try:
                await either(coming, self.job.draining.wait())
            finally:
                if not coming.done():
                    coming.cancel()
            if not coming.done() or coming.cancelled():
                return
            try:
                delivery = coming.result()
            except StopAsyncIteration:
                return
            async with self.turn:
                await (self._page(delivery) if self.events else self.one(delivery))

    async def one(self, d: Any) -> None:
        """Brings one delivery to its end."""
        try:
            batch = await self._admit(d)
            if self.plugin.kind == "processor":
                await self._transform(d, batch)
            else:
                await self._deliver(d, batch)
        except _Settled:
            return
        finally:
            self._release(d)

    async def _admit(self, d: Any) -> Batch:
        """Counts a delivery and opens it. Raises _Settled when it was set aside instead."""
        count = self.place.count
        count.n["batches_in"] += 1
        count.n["bytes_in"] += len(d.data)
        if d.deliveries > 1:
            count.n["redelivered"] += 1
            await self._suspected(d)
        batch = await self._open(d)
        count.n["points_in"] += len(batch)
        return batch

    def _release(self, d: Any) -> None:
        if d.deliveries > 1:
            self.place.suspects.end(self._where(d))

    def _where(self, d: Any) -> str:
        return f"{self.stream}/{d.stream_seq}"

    async def _suspected(self, d: Any) -> None:
        """Sets aside what this plugin has died of again and again; else notes that it is in hand."""
        where = self._where(d)
        deaths = self.place.suspects.deaths(where) + 1  # the first time it was not suspected yet
        if deaths >= TRIES:
            await self._set_aside(d, "crash", f"the plugin has died {deaths} times while it worked on this batch")
        self.place.suspects.begin(where)

    # Events.

    async def _page(self, first: Any) -> None:
        """Gives an author the events of all deliveries that wait together."""
        pages, come = [], await self._waiting(first)
        try:
            for d in come:
                with contextlib.suppress(_Settled):
                    pages.append((d, events_of(d.subject, await self._admit(d))))
            if pages:
                await self._tell(pages)
        finally:
            for d in come:
                self._release(d)

    async def _waiting(self, first: Any) -> list[Any]:
        out, more = [first], self.source.__aiter__()
        while len(out) < EVENTS and self.source.stats["queued"]:
            coming = asyncio.ensure_future(more.__anext__())
            await either(coming, seconds=1.0)  # it is there, unless another lane has it by now
            if not coming.done():
                await cancel(coming)
            if coming.cancelled() or coming.exception() is not None:
                break
            out.append(coming.result())
        return out

    async def _tell(self, pages: list[tuple[Any, list[Event]]]) -> None:
        """One call for all events, again until it succeeds; when they are refused for good, one for those of each delivery."""
        attempt = 0
        while True:
            attempt += 1
            err = await self._told([e for _, events in pages for e in events])
            if err is None:
                await self._all_told(pages)
                return
            if isinstance(err, (Permanent, TooLarge)):
                break
            if self.place.once or not await self.job.rest(pause(err, attempt, random.random())):
                for d, _ in pages:
                    d.nak(0)
                return
        if len(pages) > 1:
            for page in pages:
                await self._tell([page])
            return
        with contextlib.suppress(_Settled):
            await self._set_aside(pages[0][0], "rejected", text_of(err, 500))

    async def _told(self, events: list[Event]) -> Exception | None:
        """One call of the author, and what it raised."""
        try:
            await self.job.call(self.plugin.publish_events, events, self.job.config)
        except NoData:
            pass
        except Exception as err:
            self.job.note(err)
            return err
        self.job.note(None)
        return None

    async def _all_told(self, pages: list[tuple[Any, list[Event]]]) -> None:
        for d, events in pages:
            self.place.count.n["points_out"] += len(events)
            self.place.count.n["batches_out"] += 1
            await d.ack()

    # Batches.

    async def _open(self, d: Any) -> Batch:
        try:
            return self._decode(d, count=True)
        except BatchError as err:
            self.place.count.fail("decode", err)
            await self._set_aside(d, err.code, text_of(err, 500))

    def _decode(self, d: Any, count: bool = False) -> Batch:
        names = d.subject.split(".")
        host = untoken(names[2]) if len(names) > 3 else ""
        if d.headers and d.headers.get("Content-Encoding"):
            raise BatchError("encoding", "Content-Encoding: send it without")
        batch, drops = decode(d.data, (d.headers or {}).get("Content-Type"), stored_ns=d.stored_ns, host=host)
        for reason, n in drops.items() if count else ():
            self.place.count.drop(reason, n)
        batch.host = host
        default_tag(batch, "host", host)
        return batch

    async def _transform(self, d: Any, batch: Batch) -> None:
        for attempt in range(1, TRIES + 1):
            if attempt > 1:
                batch = self._decode(d)  # the try before may have changed it
            gather = Gather(batch.host)
            try:
                if self.columns:
                    await self.job.call(self.plugin.process_batch, batch, self.job.config, each=gather.add)
                else:
                    await self.job.call(self.plugin.process, from_batch(batch), self.job.config, each=gather.add)
                out = gather.batch()
            except NoData:
                out = Batch(batch.host)
            except Exception as err:
                self.job.note(err)
                if isinstance(err, Permanent) or attempt == TRIES:
                    await self._set_aside(d, "processor", text_of(err, 500))
                await self._rest(d, err, attempt)
                continue
            self.job.note(None)
            await self._forward(d, out)
            return

    async def _forward(self, d: Any, out: Batch) -> None:
        try:
            await self.place.outlet.forward(out, out.host, d.id)
        except asyncio.CancelledError:
            d.nak(0)
            raise
        except Exception as err:
            self.place.count.fail("publish", err)
            d.nak(NAK_DELAY)
            return
        await d.ack()

    async def _deliver(self, d: Any, batch: Batch) -> None:
        points = len(batch)
        gone = await self._piece(d, batch, 0, points, 0)
        self.place.count.n["points_out"] += points - gone
        self.place.count.n["batches_out"] += 1
        self.place.count.n["bytes_out"] += len(d.data)
        await d.ack()

    async def _piece(self, d: Any, whole: Batch | None, first: int, last: int, part: int) -> int:
        """Publishes the points first to last of a delivery, and returns how many of them went to the dead letters."""
        attempt = 0
        while True:
            attempt += 1
            batch = whole if whole is not None and attempt == 1 else cut(self._decode(d), first, last)
            try:
                refused = await self._publish(d, batch)
            except TooLarge as err:
                self.place.count.fail("too_large", err)
                if last - first > 1:
                    middle = (first + last) // 2
                    return (await self._piece(d, None, first, middle, 2 * part + 1)
                            + await self._piece(d, None, middle, last, 2 * part + 2))
                return await self._refuse(d, part, "too_large", err, first, last)
            except NoData:
                self.job.note(None)
                return 0
            except Permanent as err:
                self.job.note(err)
                return await self._refuse(d, part, "rejected", err, first, last)
            except Exception as err:
                self.job.note(err)
                await self._rest(d, err, attempt)
                continue
            self.job.note(None)
            return await self._bury_refused(d, refused) if len(refused) else 0

    async def _publish(self, d: Any, batch: Batch) -> Batch:
        """One call of the author, and the points that the sink refuses."""
        refused = Gather(batch.host)
        if self.columns:
            await self.job.call(self.plugin.publish_batch, batch, self.job.config, each=refused.add)
        else:
            await self.job.call(self.plugin.publish, from_batch(batch), self.job.config, each=refused.add)
        return refused.batch()

    async def _refuse(self, d: Any, part: int, code: str, err: BaseException, first: int, last: int) -> int:
        if part == 0:
            await self._set_aside(d, code, text_of(err, 500))
        for body in frames(cut(self._decode(d), first, last)):
            await self._bury(d, body, part, code, text_of(err, 500))
        return last - first

    async def _bury_refused(self, d: Any, refused: Batch) -> int:
        for body in frames(refused):
            part = int.from_bytes(hashlib.sha256(body).digest()[:6], "big") | 1 << 20  # the same points, the same number
            await self._bury(d, body, part, "rejected", "the sink refuses these points")
        return len(refused)

    async def _set_aside(self, d: Any, code: str, reason: str) -> NoReturn:
        """Puts all of a delivery into the dead letters and settles it. Raises _Settled."""
        await self._bury(d, d.data, 0, code, reason)
        await d.ack()
        raise _Settled

    async def _bury(self, d: Any, body: bytes, part: int, code: str, reason: str) -> None:
        """Puts a body into the dead letters. When they take nothing for long the delivery is given again later."""
        for attempt in range(1, TRIES + 1):
            try:
                await self.place.bury(self.durable, d, body, part, code, reason)
                break
            except Exception as err:
                self.place.count.fail("dead_letter", err)
                if attempt == TRIES or not await self.job.rest(pause(err, attempt, random.random())):
                    d.nak(NAK_DELAY)
                    raise _Settled from None
        self.place.count.n["dead"] += 1
        self.place.log.warning("batch set aside", extra={"code": code, "error": reason, "id": d.id, "seq": d.stream_seq})

    async def _rest(self, d: Any, err: Exception, attempt: int) -> None:
        """Waits before the next try; a job that drains meanwhile gives the delivery back."""
        if self.place.once or not await self.job.rest(pause(err, attempt, random.random())):
            d.nak(0)
            raise _Settled


def events_of(subject: str, batch: Batch) -> list[Event]:
    """The points of a batch as events."""
    names = [untoken(t) for t in subject.split(".")]
    host, plugin, kind = (names[2:] + ["", "", ""])[:3]
    return [Event(kind, host, plugin, p.time_ns, p.series, p.tags, p.fields) for p in batch.points()]
