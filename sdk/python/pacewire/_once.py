"""A plugin without a bus: once between the standard streams, or tried by its diagnostics."""
from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import tempfile
import threading
from typing import Any, AsyncIterator, BinaryIO, Callable, Iterable

from ._batch import Batch, BatchError, Point, decode
from ._clock import now_ns, rfc3339
from ._config import ConfigMap
from ._counters import Counters
from ._crew import Crew
from ._errors import NoData, text_of
from ._inventory import Entry
from ._job import START_LIMIT, Job, Place
from ._kinds import Plugin
from ._slice import default_tag
from ._subjects import token
from ._suspects import Suspects

_LINES = 500  # that make a batch
_LEFT_OUT = {"type": "a value is no number, text or boolean", "nan": "a value is no finite number",
             "no_fields": "a point has no fields"}


class Solo:
    """Leads a plugin's work to its end without a bus: one tick, the end of the input, or the end that is asked for."""

    def __init__(self, plugin: Plugin, config: ConfigMap, log: logging.Logger, host: str, name: str,
                 points: Callable[[Batch], None], facts: Callable[[dict[str, Any]], None]):
        self.plugin, self.config, self.log, self.host, self.name = plugin, config, log, host, name
        self.points, self.facts = points, facts
        self.count = Counters()
        self.unfinished = self.running = 0
        self.error: BaseException | None = None

    async def run(self, lines: Iterable[bytes] = (), limit: float | None = None, folder: str = "") -> None:
        """Works; a stream for as long as limit says, or until the task is cancelled."""
        plugin = self.plugin
        async with self._crew(folder) as crew:
            place = Place(plugin, crew, self.count, self.log, self, lambda given, work: _Lines(self, lines), _nowhere, Suspects(""),
                          keeps=self._keeps, once=True)
            place.gate.set()
            loop = asyncio.get_running_loop()
            plugin._send_event = lambda kind, batch: asyncio.run_coroutine_threadsafe(self.event(kind, batch), loop).result()
            work = {"inputs": [{"stream": "stdin", "durable": "stdin"}]} if plugin.kind != "collector" else {}
            job = Job(place, 0, work, self.config)
            try:
                await asyncio.wait({job.task}, timeout=limit)
            finally:
                await job.stop()
            if job.first.done():
                self.error = job.first.result()

    async def ready(self, folder: str = "") -> None:
        """Makes the plugin ready and ends it: no work is done."""
        self.plugin.config = self.config
        async with self._crew(folder) as crew:
            for hook in (self.plugin.start, self.plugin.stop):
                try:
                    if await crew.call(hook, limit=START_LIMIT) is False:
                        raise NoData(f"{hook.__name__} says that there is nothing to do here")
                except Exception as err:
                    self.error = self.error or err

    @contextlib.asynccontextmanager
    async def _crew(self, folder: str) -> AsyncIterator[Crew]:
        """The threads of the plugin, and all that it is told of where it runs."""
        with tempfile.TemporaryDirectory(prefix="pacewire-") as made:
            plugin, crew = self.plugin, Crew(self._hung, self.count.called)
            plugin.name, plugin.host, plugin.dir, plugin.log = self.name, self.host, folder or made, self.log
            try:
                yield crew
            finally:
                crew.close()
                self.running = crew.running

    def outcome(self) -> str:
        """What went wrong, "" when nothing has. Errors were logged when they occurred; the last tells why the work is not whole."""
        said = [text_of(self.error)] if self.error else []
        if self.unfinished:
            said.append(f"{self.unfinished} batches of points were not finished")
        if self.count.last and self.count.last["message"] not in said:
            said.append(self.count.last["message"])
        return "; ".join(said)

    # It stands in for the outlet of a life.

    async def put(self, batch: Batch) -> list[Any]:
        """Hands points to whoever takes them."""
        default_tag(batch, "host", batch.host or self.host)
        self.count.n["points_out"] += len(batch)
        self.count.n["batches_out"] += 1
        if batch.drops:
            self.log.warning("points or fields were left out", extra={"why": ", ".join(_LEFT_OUT.get(c, c) for c in batch.drops)})
        self.points(batch)
        return []

    async def forward(self, batch: Batch, host: str, source: str) -> None:
        """Likewise, what a processor has made."""
        await self.put(batch)

    async def event(self, kind: str, batch: Batch) -> None:
        """Shows an event in the log."""
        self.log.info("event", extra={"kind": kind, "points": [line(p) for p in batch.points()]})

    def _keeps(self, entry: Entry) -> None:
        if entry.data is not None:
            self.facts(entry.data)

    def _hung(self, hangs: bool) -> None:
        if hangs:
            self.log.error("a call does not come back")


async def _nowhere(durable: str, delivery: Any, body: bytes, part: int, code: str, reason: str) -> None:
    """Without a bus there are no dead letters: the log has told the reason."""
    delivery.nak()


class _Delivery:
    """A batch of lines, as the reading loops take it."""

    id, deliveries, headers = "", 1, None

    def __init__(self, source: _Lines, data: bytes, seq: int):
        self.source, self.data, self.stream_seq = source, data, seq
        self.subject = f"pw.metrics.{source.host_token}.stdin"
        self.stored_ns = now_ns()

    async def ack(self) -> None:
        """Nothing is left to do."""

    def nak(self, delay: float = 0.0) -> None:
        """It is not given again: there is nobody to do so."""
        self.source.solo.unfinished += 1


class _Lines:
    """The points of standard input, as an input of the bus would give them."""

    stats = {"queued": 0}

    def __init__(self, solo: Solo, lines: Iterable[bytes]):
        self.solo, self.lines, self.host_token = solo, iter(lines), token(solo.host)
        self.number = 0

    async def __aiter__(self) -> AsyncIterator[_Delivery]:
        seq = 0
        while True:
            some = await self._next_lines()
            if not some:
                return
            for data in self._readable(some):
                seq += 1
                yield _Delivery(self, data, seq)

    async def _next_lines(self) -> list[bytes]:
        """Reads in a thread that nobody has to wait for: it may be in the middle of a line when the end is asked for."""
        loop = asyncio.get_running_loop()
        come: asyncio.Future[list[bytes]] = loop.create_future()

        def look() -> None:
            lines = list(itertools.islice(self.lines, _LINES))
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(lambda: come.done() or come.set_result(lines))

        threading.Thread(target=look, daemon=True).start()
        return await come

    def _readable(self, lines: list[bytes]) -> list[bytes]:
        """The lines as one text if that can be read, else each of those that can."""
        first, self.number = self.number, self.number + len(lines)
        whole = b"".join(lines)
        if not whole.strip():
            return []
        try:
            if not decode(whole, None, stored_ns=1, host="")[1]:
                return [whole]
        except BatchError:
            pass
        out = []
        for n, text in enumerate(lines, first + 1):
            if not text.strip() or text.lstrip().startswith(b"#"):
                continue
            try:
                _, drops = decode(text, None, stored_ns=1, host="")
                fault = ", ".join(k for k in drops if k != "time_skew")
            except BatchError as err:
                drops, fault = {}, text_of(err)
            if fault:
                self.solo.count.fail("input", f"line {n}: {fault}")
                self.solo.log.warning("input left out", extra={"error": f"line {n}: {fault}"})
            else:
                out.append(text)
        return out

    async def stop(self) -> None:
        """The input is not ours to close."""


def line(p: Point) -> str:
    """A point as a JSON object on one line, as every program here writes it."""
    out: dict[str, Any] = {"series": p.series, "time": rfc3339(p.time_ns or 0)}
    if p.tags:
        out["tags"] = dict(sorted(p.tags.items()))
    out["fields"] = p.fields
    types = {k: letter for k, letter in (p.types or {}).items() if letter in "iu" and k in p.fields}
    if types:
        out["types"] = types
    return json.dumps(out, ensure_ascii=False)


def write_points(to: BinaryIO) -> Callable[[Batch], None]:
    """Returns what writes the points of a batch, a line each."""
    def write(batch: Batch) -> None:
        to.write("".join(line(p) + "\n" for p in batch.points()).encode())
        to.flush()
    return write
