import asyncio
import threading
import time
import unittest

import pacewire as pw
from agent import HOST, NAME, LifeCase
from bus import PATIENCE
from pacewire import _collect
from pacewire._collect import Ended, Inflow
from pacewire._gather import Gather, points_of


class Collectors(LifeCase):
    async def test_what_was_yielded_before_an_error_is_sent(self):
        class Half(pw.Collector):
            def collect(self, metrics):
                yield pw.point("n", v=1)
                raise OSError("the other half")

        points = self.heard()
        await self.serve(Half("half"), every_ms=50)
        await self.until("points", lambda: len(points) > 1)
        await self.flagged("failing")
        self.assertEqual(self.agent.last["err"]["message"], "the other half")

    async def test_each_colour(self):
        async def coroutine(metrics):
            return [pw.point("n", v=1)]

        async def generator(metrics):
            await asyncio.sleep(0)
            yield pw.point("n", v=1)

        for f in (coroutine, generator, lambda metrics: pw.point("n", v=1), lambda metrics: (pw.point("n", v=v) for v in (1,))):
            class One(pw.Collector):
                collect = staticmethod(f)

            points = self.heard()
            await self.serve(One("one"), every_ms=50)
            await self.until("points", lambda: points)
            self.assertEqual(points[0].fields, {"v": 1})
            await self.drained()
            self.agent.beats.clear()

    async def test_permanent_stops_it(self):
        class Stops(pw.Collector):
            calls = 0

            def collect(self, metrics):
                self.calls += 1
                raise pw.Permanent("no such device")

        stops = Stops("stops")
        await self.serve(stops, every_ms=20)
        await self.state("failed")
        self.assertEqual((stops.calls, self.agent.last["err"]["message"]), (1, "no such device"))
        self.agent.offers(2, {}, every_ms=20)  # another config is another try
        await self.until("a second try", lambda: stops.calls == 2)

    async def test_no_data_is_quiet(self):
        class Quiet(pw.Collector):
            def collect(self, metrics):
                raise pw.NoData("no battery")

        await self.serve(Quiet("quiet"), every_ms=20)
        await self.until("ticks", lambda: self.agent.last["stats"].get("ticks", 0) > 2)
        self.assertNotIn("failing", self.agent.last.get("flags", ()))
        self.assertLessEqual(set(self.life.count.errors), {"overrun"})  # of a slow machine

    async def test_nothing_to_do_here(self):
        class Idle(pw.Collector):
            there = False

            def start(self):
                return self.there

            def collect(self, metrics):
                return pw.point("n", v=1)

        idle = Idle("idle")
        await self.serve(idle, every_ms=20)
        await self.state("idle")
        idle.there = True
        await self.agent.ask("refresh", mode="collect")
        await self.state("running")

    async def test_a_schedule_that_ends(self):
        class Counts(pw.Collector):
            calls = 0

            def collect(self, metrics):
                self.calls += 1

        counts = Counts("counts")
        await self.serve(counts, every_ms=20, schedule={"count": 2})
        await self.state("idle")
        self.assertEqual(counts.calls, 2)


class Streams(LifeCase):
    async def test_a_thread_of_the_author(self):
        class Clock(pw.StreamCollector):
            ended = 0

            def stream(self, metrics):
                n = 0
                try:
                    while not self.stopping.wait(0.01):
                        n += 1
                        yield pw.point("n", v=n)
                finally:
                    self.ended += 1

        points, clock = self.heard(), Clock("clock")
        await self.serve(clock)
        await self.until("points", lambda: len(points) > 3)
        self.agent.offers(2, {})
        await self.state("running", 2)
        await self.until("the first has ended", lambda: clock.ended == 1)
        await self.drained()
        await self.until("the second has ended", lambda: clock.ended == 2)
        values = [p.fields["v"] for p in points]
        again = values.index(1, 1)
        self.assertEqual(values, [*range(1, again + 1), *range(1, len(values) - again + 1)])  # one after the other, none twice

    async def test_a_loop_of_the_author(self):
        class Clock(pw.StreamCollector):
            ended = False

            async def stream(self, metrics):
                try:
                    while True:
                        yield [pw.Metric(("n", "v"), data=1), pw.Metric(("n", "w"), data=2)]
                        await asyncio.sleep(0.01)
                finally:
                    self.ended = True

        points, clock = self.heard(), Clock("clock")
        await self.serve(clock)
        await self.until("points", lambda: points)
        self.assertEqual(points[0].fields, {"v": 1, "w": 2})
        await self.drained()
        self.assertTrue(clock.ended)

    async def test_one_that_ends_or_fails_begins_again(self):
        class Short(pw.StreamCollector):
            calls = 0

            def stream(self, metrics):
                self.calls += 1
                yield pw.point("n", v=self.calls)
                if self.calls == 2:
                    raise OSError("gone")

        points, short = self.heard(), Short("short")
        await self.serve(short)
        await self.until("four", lambda: len(points) > 3)
        self.assertEqual([p.fields["v"] for p in points][:4], [1, 2, 3, 4])

    async def test_one_that_does_not_heed_the_end_is_left_out(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        class Deaf(pw.StreamCollector):
            def stream(self, metrics):
                yield pw.point("n", v=1)
                go_on.wait(PATIENCE)
                yield pw.point("n", v=2)

        self.set(_collect, END_LIMIT=0.05)
        points = self.heard()
        await self.serve(Deaf("deaf"))
        await self.until("the first", lambda: points)
        self.agent.offers(2, {})
        await self.until("the second stream", lambda: len(points) == 2)
        self.life.drain()
        await asyncio.wait_for(self.work, PATIENCE)
        go_on.set()
        await self.until("both threads have ended", lambda: not self.life.crew.running)
        self.assertEqual([p.fields["v"] for p in points], [1, 1])


class Flow(unittest.IsolatedAsyncioTestCase):
    async def test_who_is_quicker_than_the_bus_waits(self):
        inflow, put = Inflow(asyncio.get_running_loop()), []

        def author():
            try:
                for n in range(3 * _collect._MANY):
                    wait = inflow.put(n)
                    put.append(n)
                    if wait is not None:
                        wait.result(PATIENCE)
            except Ended:
                put.append("ended")

        thread = threading.Thread(target=author, daemon=True)
        thread.start()
        end = time.monotonic() + PATIENCE
        while len(put) < _collect._MANY and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self.assertEqual((len(put), len(inflow)), (_collect._MANY, _collect._MANY))
        await asyncio.wait_for(inflow.come.wait(), PATIENCE)
        self.assertEqual([item for _, item in inflow.take()], put[:_collect._MANY])
        while len(put) < 2 * _collect._MANY and time.monotonic() < end:
            await asyncio.sleep(0.01)
        inflow.close()  # nobody takes what is there any more
        await asyncio.to_thread(thread.join, PATIENCE)
        self.assertEqual((put[-1], len(put)), ("ended", 2 * _collect._MANY + 1))


class Rack(pw.InfoPlugin):
    """Facts of the rack."""

    def __init__(self, *answers):
        super().__init__("rack")
        self.answers, self.said = list(answers), []

    def initialize(self):
        self.said.append("initialize")

    def collect(self):
        self.said.append("collect")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cleanup(self):
        self.said.append("cleanup")


class Facts(LifeCase):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.set(_collect, SURVEY_APART=0.05)

    def info(self):
        return [f for f in self.agent.facts if f["type"] == "info"]

    async def test_cached_and_collected(self):
        rack = Rack({"units": 42}, {"units": 42}, {"units": 43})
        await self.serve(rack)
        await self.until("facts", self.info)
        self.assertEqual(self.info()[0]["data"], {"units": 42})
        await self.state("running")
        reply = await self.agent.ask("refresh", want=[f"{NAME}/info"], mode="cached")
        self.assertEqual({i[1] for i in reply["payload"]["inv_list"]}, {"info", "manifest"})
        await self.until("from the cache", lambda: len(self.info()) == 2)
        self.assertEqual(rack.said, ["initialize", "collect"])
        await self.agent.ask("refresh", want=[], mode="collect")  # finds the same: nothing is sent
        await self.agent.ask("refresh", want=[], mode="collect")
        await self.until("what is new", lambda: len(self.info()) == 3)
        self.assertEqual((self.info()[-1]["data"], self.info()[0]["data"]), ({"units": 43}, {"units": 42}))
        await self.agent.ask("refresh", want=[], mode="cached", max_age_ms=3_600_000)  # young enough
        self.assertEqual(rack.said, ["initialize", "collect", "collect", "collect"])
        await self.drained()
        self.assertEqual(rack.said[-1], "cleanup")

    async def test_one_collection_answers_all_who_ask(self):
        begun, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        class Slow(Rack):
            def collect(self):
                if self.said.count("collect") == 1:
                    begun.set()
                    go_on.wait(PATIENCE)
                return super().collect()

        rack = Slow({"units": 42})
        await self.serve(rack)
        await self.state("running")
        await self.until("facts", self.info)
        first = asyncio.ensure_future(self.agent.ask("refresh", mode="collect"))
        await self.until("a collection", begun.is_set)
        others = [asyncio.ensure_future(self.agent.ask("refresh", mode="collect")) for _ in range(5)]
        await self.until("all have asked", lambda: self.life.refreshing == 6)
        go_on.set()
        await asyncio.gather(first, *others)
        self.assertEqual(rack.said.count("collect"), 3)

    async def test_an_error_is_data(self):
        rack = Rack(FileNotFoundError("no /sys/class/dmi"), {"units": 42}, [1])
        await self.serve(rack)
        await self.until("an error", self.info)
        self.assertEqual(self.info()[0]["error"], {"code": "not_found", "message": "no /sys/class/dmi"})
        await self.agent.ask("refresh", mode="collect")
        await self.until("facts", lambda: self.info()[-1].get("data") == {"units": 42})
        await self.agent.ask("refresh", mode="collect")
        await self.until("no dict", lambda: self.info()[-1].get("error", {}).get("code") == "invalid")

    async def test_nothing_to_do_here(self):
        class Nothing(Rack):
            def initialize(self):
                super().initialize()
                return False

        rack = Nothing({})
        await self.serve(rack)
        await self.state("idle")
        self.assertEqual(rack.said, ["initialize", "cleanup"])

    async def test_asked_for_on_this_machine(self):
        rack = Rack({"units": 1}, {"units": 2})
        await self.serve(rack)
        await self.until("facts", self.info)
        self.life.survey()  # as by SIGHUP
        await self.until("new facts", lambda: self.info()[-1]["data"] == {"units": 2})

    async def test_after_a_permanent_error_the_cache_answers(self):
        rack = Rack({"units": 1}, pw.Permanent("burnt"))
        await self.serve(rack)
        await self.until("facts", self.info)
        await self.agent.ask("refresh", mode="collect")
        await self.state("failed")
        reply = await self.agent.ask("refresh", mode="collect")
        self.assertTrue(reply["ok"])
        self.assertEqual(rack.said.count("collect"), 2)


class Monitors(LifeCase):
    async def test_a_dict_becomes_points(self):
        class Load(pw.MonitorPlugin):
            def initialize(self):
                self.ready = True

            def collect(self):
                return {"load": 0.5, "up": self.ready, "disk": {"free": 3}, "cpus": [{"busy": 1.0}, {"busy": 2.0}]}

            def cleanup(self):
                self.ready = False

        points, load = self.heard(), Load("load")
        await self.serve(load, every_ms=50)
        await self.until("points", lambda: len(points) >= 4)
        got = {(p.series, p.tags.get("index")): p.fields for p in points}
        self.assertEqual(got, {(NAME, None): {"load": 0.5, "up": True}, (f"{NAME}_disk", None): {"free": 3},
                               (f"{NAME}_cpus", "0"): {"busy": 1.0}, (f"{NAME}_cpus", "1"): {"busy": 2.0}})
        await self.drained()
        self.assertFalse(load.ready)

    def test_times_and_faults(self):
        (point,) = points_of("x", {"timestamp": 1.5, "v": 1, "nan": float("nan"), "none": None, "deep": {}}, 7)
        self.assertEqual((point.time_ns, point.fields), (1_500_000_000, {"v": 1}))
        with self.assertRaisesRegex(TypeError, "collect returned a list: want a dict"):
            points_of("x", [], 7)


class Gathers(unittest.TestCase):
    def test_all_that_may_be_yielded(self):
        gather = Gather("h", 5000)
        inner = pw.Batch("h")
        inner.add("b", {"v": 1}, time_ns=1)
        for item in (pw.Metric(("m", "v"), data=1), pw.point("p", v=2), [pw.point("q", v=3)], (pw.Metric(("m", "w"), data=4),), inner):
            gather.add(item)
        points = {p.series: (p.time_ns, p.fields) for p in gather.batch().points()}
        self.assertEqual(points, {"m": (5000, {"v": 1, "w": 4}), "p": (5000, {"v": 2}), "q": (5000, {"v": 3}), "b": (1, {"v": 1})})

    def test_what_is_none(self):
        for item, want in ((3, "int is no metric"), ("x", "str is no metric"), (pw.Metric(("m", "v")), "metric /m/v has no data")):
            with self.assertRaisesRegex(TypeError, want):
                Gather("h").add(item)


if __name__ == "__main__":
    unittest.main()
