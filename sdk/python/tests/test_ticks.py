import asyncio
import datetime
import time
import unittest
from unittest import mock

from bus import PATIENCE
from pacewire._cron import Cron
from pacewire._ticks import Ticks, around


def stamp(text):
    return datetime.datetime.fromisoformat(text).timestamp()


class Crons(unittest.TestCase):
    def test_next(self):
        def f(words, after, want, zone="UTC"):
            got = Cron(words, zone).next(stamp(after))
            self.assertEqual(datetime.datetime.fromtimestamp(got, datetime.timezone.utc), datetime.datetime.fromisoformat(want), words)

        f("*/15 * * * *", "2026-03-01T10:07:30+00:00", "2026-03-01T10:15:00+00:00")
        f("*/15 * * * * *", "2026-03-01T10:07:30+00:00", "2026-03-01T10:07:45+00:00")
        f("30 2 * * *", "2026-03-01T02:30:00+00:00", "2026-03-02T02:30:00+00:00")
        f("0 5 * * mon-fri", "2026-02-27T06:00:00+00:00", "2026-03-02T05:00:00+00:00")
        f("0 0 29 2 *", "2026-03-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00")
        f("0 0 13 * fri", "2026-03-01T00:00:00+00:00", "2026-03-06T00:00:00+00:00")  # a day of both, as cron has it
        f("@daily", "2026-03-01T12:00:00+00:00", "2026-03-02T00:00:00+00:00")
        f("0 0 * * 7", "2026-03-02T00:00:00+00:00", "2026-03-08T00:00:00+00:00")
        f("5,10 1-3/2 1 jan ?", "2026-01-01T01:07:00+00:00", "2026-01-01T01:10:00+00:00")

    def test_zones(self):
        try:
            cron = Cron("30 2 * * *", "Europe/Berlin")
        except ValueError as err:
            self.skipTest(f"no time zones here: {err}")
        self.assertEqual(cron.next(stamp("2026-01-01T00:00:00+00:00")), stamp("2026-01-01T01:30:00+00:00"))
        self.assertEqual(cron.next(stamp("2026-07-01T00:00:00+00:00")), stamp("2026-07-01T00:30:00+00:00"))

    def test_faults(self):
        for words, want in (("* * *", "has 3 words: want five, or six"), ("60 * * * *", "numbers from 0 to 59"), ("5-1 * * * *", "want numbers"),
                            ("x * * * *", "'x' is no number"), ("*/0 * * * *", "want numbers"), ("* * 0 * *", "from 1 to 31")):
            with self.assertRaisesRegex(ValueError, want):
                Cron(words)
        with self.assertRaisesRegex(ValueError, "timezone 'Europe/Nowhere' is not known here"):
            Cron("@daily", "Europe/Nowhere")
        with self.assertRaisesRegex(ValueError, "no day fits"):
            Cron("0 0 30 2 *").next(0)


class Times(unittest.IsolatedAsyncioTestCase):
    async def take(self, n, **work):
        out, missed = [], []
        ticks = Ticks(work, "h", "p", missed.append)
        async for at in ticks:
            out.append(at)
            if len(out) == n:
                break
        return out, missed

    async def test_count_ends_it(self):
        out, _ = await asyncio.wait_for(self.take(9, every_ms=5, schedule={"count": 3}), PATIENCE)
        self.assertEqual(len(out), 3)

    async def test_until_ends_it(self):
        out, _ = await asyncio.wait_for(self.take(9, every_ms=5, schedule={"until": 1}), PATIENCE)
        self.assertEqual(out, [])

    async def test_even_times(self):
        now = [1_760_000_000.37]

        async def sleep(seconds):
            now[0] += seconds

        with mock.patch.object(asyncio, "sleep", sleep), mock.patch.object(time, "time", lambda: now[0]):
            out, missed = await self.take(2, every_ms=100, schedule={"align": True})
            self.assertEqual((out, missed), ([1_760_000_000_400_000_000, 1_760_000_000_500_000_000], []))
            out, _ = await self.take(1, schedule={"cron": "@hourly", "timezone": "UTC"})
            self.assertEqual(out, [1_760_000_400_000_000_000])

    async def test_what_was_missed_is_counted_and_left_out(self):
        missed = []
        ticks = Ticks({"every_ms": 10}, "h", "p", missed.append).__aiter__()
        await asyncio.wait_for(ticks.__anext__(), PATIENCE)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(ticks.__anext__(), PATIENCE)
        await ticks.aclose()
        self.assertGreaterEqual(sum(missed), 8)

    async def test_without_an_interval_there_is_none(self):
        ticks = Ticks({}, "h", "p", lambda n: None).__aiter__()
        waits = asyncio.ensure_future(ticks.__anext__())
        done, _ = await asyncio.wait({waits}, timeout=0.02)
        self.assertFalse(done)
        waits.cancel()
        await asyncio.wait({waits})

    def test_around(self):
        self.assertTrue(all(0.9 <= around(1.0) <= 1.1 for _ in range(100)))


if __name__ == "__main__":
    unittest.main()
