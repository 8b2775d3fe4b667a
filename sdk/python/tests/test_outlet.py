import asyncio
import time
import unittest
from unittest import mock

import pacewire as pw
from bus import PATIENCE
from pacewire._counters import Counters
from pacewire._limits import Limits
from pacewire._nats import Error
from pacewire._outlet import NotStored, Outlet


class Sink:
    """Stands for a bus of which a test decides when it stores what."""

    def __init__(self):
        self.open = asyncio.Event()
        self.sent, self.faults, self.stats = [], [], {}

    async def send(self, subject, data, *, id="", content_type=""):
        await self.open.wait()
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        self.sent.append((subject, id))
        stored = asyncio.get_running_loop().create_future()
        stored.set_result(len(self.sent))
        return stored

    async def flush(self):
        """All that was sent is stored."""


def batch(n, points=1):
    made = pw.Batch("h")
    for i in range(points):
        made.add("n", {"v": n}, {"i": str(i)}, time_ns=10**18)
    return made


class Queue(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.sink, self.count = Sink(), Counters()
        self.outlet = Outlet(self.sink, "h", "p", self.count, self.count.fail)
        self.addAsyncCleanup(self.outlet.close)

    async def full(self, overflow):
        """An outlet whose queue has no more room, with the bus away."""
        self.outlet.shape({"queue_bytes": 1500, "overflow": overflow})
        for n in range(3):  # one is with the sink, two fill the queue
            await self.outlet.put(batch(n))
            await asyncio.sleep(0)

    async def test_block(self):
        await self.full("block")
        put = asyncio.ensure_future(self.outlet.put(batch(9)))
        done, _ = await asyncio.wait({put}, timeout=0.05)
        self.assertFalse(done)
        self.sink.open.set()
        (stored,) = await asyncio.wait_for(put, PATIENCE)
        await asyncio.wait_for(stored, PATIENCE)
        await self.outlet.flush(PATIENCE)
        self.assertEqual((len(self.sink.sent), self.count.n["points_out"], dict(self.count.dropped)), (4, 4, {}))

    async def test_drop_new(self):
        await self.full("drop_new")
        (stored,) = await self.outlet.put(batch(9, points=3))
        with self.assertRaisesRegex(NotStored, "3 points were dropped: overflow"):
            await stored
        self.assertEqual((self.count.dropped["overflow"], self.count.flags()), (3, ["overflow"]))

    async def test_drop_oldest(self):
        await self.full("drop_oldest")
        await self.outlet.put(batch(9))
        self.assertEqual(self.count.dropped["overflow"], 1)
        self.sink.open.set()
        await self.outlet.flush(PATIENCE)
        self.assertEqual(len(self.sink.sent), 3)

    async def test_what_the_bus_never_takes_is_told(self):
        self.sink.faults = [Error("too large")]
        self.sink.open.set()
        (first,) = await self.outlet.put(batch(1))
        (second,) = await self.outlet.put(batch(2))
        with self.assertRaisesRegex(NotStored, "not_sent"):
            await first
        await second  # goes on
        self.assertEqual((self.count.errors["publish"], self.count.dropped["not_sent"]), (1, 1))

    async def test_what_waits_at_the_end_is_counted(self):
        await self.full("block")
        with self.assertRaises(asyncio.TimeoutError):
            await self.outlet.flush(0.01)
        await self.outlet.close()
        self.assertEqual(self.count.dropped["not_sent"], 3)

    async def test_ids_are_derived(self):
        self.sink.open.set()
        await self.outlet.forward(batch(1), "h", "a/b/c/1")
        await self.outlet.forward(batch(1), "h", "")
        self.assertEqual(self.sink.sent, [("pw.metrics.h.p", "a/b/c/1+p"), ("pw.metrics.h.p", "")])

    async def test_tags_of_the_config(self):
        with_own = batch(1)
        with_own.add("n", {"v": 1}, {"site": "own"})
        self.outlet.shape({"tags": {"site": "x"}})
        self.sink.open.set()
        await self.outlet.put(with_own)
        self.assertEqual({p.tags["site"] for p in with_own.points()}, {"x", "own"})


class Bounds(unittest.TestCase):
    def setUp(self):
        self.now = 1000.0
        patch = mock.patch.object(time, "monotonic", lambda: self.now)
        patch.start()
        self.addCleanup(patch.stop)

    def test_points_a_second(self):
        limits = Limits()
        limits.set(10, 0)
        given = batch(1, points=15)
        self.assertEqual(limits.apply(given, "h"), {"dropped_flood": 5})
        self.assertEqual(len(given), 10)
        self.now += 0.5
        self.assertEqual(limits.apply(batch(1, points=6), "h"), {"dropped_flood": 1})
        limits.set(0, 0)
        self.assertEqual(limits.apply(batch(1, points=99), "h"), {})

    def test_series_at_a_time(self):
        limits = Limits()
        limits.set(0, 3)
        given = batch(1, points=5)
        self.assertEqual(limits.apply(given, "h"), {"series_limit": 2})
        self.assertEqual([p.tags["i"] for p in given.points()], ["0", "1", "2"])
        self.now += 3000
        self.assertEqual(limits.apply(batch(1, points=2), "h"), {"series_limit": 0})
        self.now += 700  # the third has not been seen for an hour
        self.assertEqual(limits.apply(batch(1, points=5), "h"), {"series_limit": 2})
        self.assertEqual(limits.apply(batch(1, points=2), "other"), {"series_limit": 2})


if __name__ == "__main__":
    unittest.main()
