"""When a collector is asked."""
from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import Any, AsyncIterator, Callable

from ._cron import Cron


class Ticks:
    """The ticks of a collector: a plain interval on a clock that nobody sets, or times of the wall clock.

    A tick that is due while the last one is worked on is dropped; all that is missed is counted.
    """

    def __init__(self, work: dict[str, Any], host: str, plugin: str, missed: Callable[[int], None]):
        words = work.get("schedule") or {}
        self.every = work.get("every_ms", 0) / 1000
        self._cron = Cron(words["cron"], words.get("timezone", "")) if words.get("cron") else None
        self._wall = bool(self._cron or words.get("align"))
        self._splay = _part(host, plugin) * words.get("splay_ms", 0) / 1000
        self._phase = self._splay if words.get("splay_ms") else _part(host, plugin) * min(self.every, 1.0)
        self._opens, self._ends = words.get("from", 0) / 1e9, words.get("until", 0) / 1e9
        self._left = words.get("count", 0) or -1
        self._missed = missed

    async def __aiter__(self) -> AsyncIterator[int]:
        """Yields the time of each tick, ns. It ends when the schedule is over."""
        if not self.every and self._cron is None:
            await asyncio.Event().wait()  # on request only
        while self._opens > time.time():
            await asyncio.sleep(min(self._opens - time.time(), 30.0))
        async for at in self._by_wall() if self._wall else self._by_interval():
            if self._ends and at / 1e9 >= self._ends:
                return
            yield at // 1000 * 1000
            self._left -= 1
            if self._left == 0:
                return

    async def _by_interval(self) -> AsyncIterator[int]:
        due = time.monotonic() + self._phase
        while True:
            await asyncio.sleep(due - time.monotonic())
            yield time.time_ns()
            due += self.every
            late = time.monotonic() - due
            if late > 0:
                n = int(late / self.every) + 1
                self._missed(n)
                due += n * self.every

    async def _by_wall(self) -> AsyncIterator[int]:
        last = time.time()
        while True:
            due = self._next(last)
            while due > time.time():  # timers do not follow when the clock is set
                if last - time.time() > 3 * 3600:
                    last, due = time.time(), self._next(time.time())
                await asyncio.sleep(min(max(due - time.time(), 0.001), 30.0))
            yield round(due * 1e6) * 1000 if time.time() - due < 1 else time.time_ns()
            last, n = due, 0
            while n < 1000 and self._next(last) < time.time() - 1:
                last, n = self._next(last), n + 1
            if n:
                self._missed(n)

    def _next(self, after: float) -> float:
        after -= self._splay
        return self._splay + (self._cron.next(after) if self._cron else self._even(after))

    def _even(self, after: float) -> float:
        """The next multiple of the interval, by whole microseconds: 0.1 is no float."""
        every = round(1e6 * self.every)
        return (round(1e6 * after) // every + 1) * every / 1e6


def _part(host: str, plugin: str) -> float:
    """A number below 1 that differs from plugin to plugin and from host to host."""
    return int.from_bytes(hashlib.sha256(f"{host}\0{plugin}".encode()).digest()[:4], "big") / 2**32


def around(seconds: float) -> float:
    """seconds, give or take a tenth."""
    return seconds * random.uniform(0.9, 1.1)
