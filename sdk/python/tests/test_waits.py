import asyncio
import unittest

from bus import PATIENCE
from pacewire._crew import Crew
from pacewire._waits import cancel, either


class Waits(unittest.IsolatedAsyncioTestCase):
    async def test_the_first_ends_it(self):
        event, never = asyncio.Event(), asyncio.get_running_loop().create_future()
        event.set()
        await asyncio.wait_for(either(event.wait(), never), PATIENCE)
        self.assertFalse(never.done())  # is the caller's
        await asyncio.wait_for(either(never, seconds=0.01), PATIENCE)

    async def test_a_cancellation_is_not_lost(self):
        for steps in range(6):  # of the loop between the result and the cancellation
            event = asyncio.Event()
            waits = asyncio.ensure_future(either(event.wait()))
            await asyncio.sleep(0.001)
            event.set()
            for _ in range(steps):
                await asyncio.sleep(0)
            late = waits.done()
            waits.cancel()
            await asyncio.wait({waits}, timeout=PATIENCE)
            self.assertEqual(waits.cancelled(), not late, steps)

    async def test_cancel_waits(self):
        ended = []

        async def slow():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                ended.append(True)

        tasks = [asyncio.ensure_future(slow()) for _ in range(2)]
        await asyncio.sleep(0)
        await cancel(*tasks)
        await cancel()
        self.assertEqual(ended, [True, True])


class Crews(unittest.IsolatedAsyncioTestCase):
    async def test_many_calls_side_by_side(self):
        crew, here = Crew(), []
        self.addCleanup(crew.close)

        async def one(n):
            await asyncio.sleep(0.01)
            here.append(n)
            return n

        got = await asyncio.gather(*(crew.call(one, n, limit=PATIENCE) for n in range(50)), *(crew.call(abs, -n, limit=PATIENCE) for n in range(50)))
        self.assertEqual(got, [*range(50), *range(50)])
        self.assertTrue(await crew.idle(PATIENCE))

    async def test_what_ends_a_program_is_an_error_of_the_call(self):
        async def leaves():
            raise SystemExit(3)

        def gives_up():
            raise KeyboardInterrupt

        async def ends():
            raise StopAsyncIteration

        crew = Crew()
        self.addCleanup(crew.close)
        for f, want in ((leaves, "SystemExit: 3"), (gives_up, "KeyboardInterrupt"), (lambda: next(iter(())), "StopIteration")):
            with self.assertRaisesRegex(RuntimeError, f"the call raised {want}"):
                await crew.call(f, limit=PATIENCE)
        with self.assertRaises(StopAsyncIteration):
            await crew.call(ends, limit=PATIENCE)

    async def test_items_before_an_error(self):
        async def half():
            yield 1
            raise OSError("half")

        crew, taken = Crew(), []
        self.addCleanup(crew.close)
        with self.assertRaisesRegex(OSError, "half"):
            await crew.call(half, limit=PATIENCE, each=taken.append)
        self.assertEqual(taken, [1])
        for result, want in ((None, []), ("text", ["text"]), ((1, 2), [1, 2]), ({3}, [3]), ({"a": 1}, [{"a": 1}]), (map(abs, (-1,)), [1])):
            taken.clear()
            await crew.call(lambda: result, limit=PATIENCE, each=taken.append)
            self.assertEqual(taken, want)


if __name__ == "__main__":
    unittest.main()
