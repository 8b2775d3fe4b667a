import asyncio
import collections
import threading
import unittest

import pacewire as pw
from agent import HOST, NAME, LifeCase, letter
from bus import PATIENCE
from pacewire import _crew


class Odd(pw.Processor):
    """Sends on the odd ones, doubled."""

    def process(self, metrics, config):
        for metric in metrics:
            if metric.data % 2:
                metric.data *= 2
                yield metric


class Processors(LifeCase):
    async def test_what_is_yielded_is_sent_on(self):
        out = self.heard()
        await self.reader(Odd("odd"))
        await self.give(*(pw.point("n", {"k": str(i)}, v=i) for i in range(4)), id="a/b/c/1")
        await self.until("output", lambda: len(out) == 2)
        self.assertEqual([(p.tags["k"], p.fields["v"]) for p in out], [("1", 2), ("3", 6)])
        await self.settled()
        n = await self.stored(self.bus_client)
        await self.give(pw.point("n", v=2), id="a/b/c/2")  # nothing comes of it
        await self.settled()
        self.assertEqual(await self.stored(self.bus_client), n + 1)

    async def test_columns(self):
        class Columns(pw.Processor):
            async def process_batch(self, batch, config):
                for group in batch.groups:
                    group.set_tag("seen", "yes")
                return batch

        out = self.heard()
        await self.reader(Columns("columns"))
        await self.give(pw.point("n", v=1.5), pw.point("m", {"a": "b"}, w="x"))
        await self.until("output", lambda: len(out) == 2)
        self.assertEqual({p.series: p.tags["seen"] for p in out}, {"n": "yes", "m": "yes"})

    async def test_the_same_output_has_the_same_id(self):
        seen = []
        self.bus_client.subscribe(f"pw.metrics.{HOST}.{NAME}", lambda msg: seen.append(msg.headers["Nats-Msg-Id"]))
        await self.reader(Odd("odd"))
        await self.give(pw.point("n", v=1), id="x/y/z/7")
        await self.until("output", lambda: seen)
        self.assertEqual(seen[0], f"x/y/z/7+{NAME}")

    async def test_errors(self):
        calls = collections.Counter()

        class Fails(pw.Processor):
            def process(self, metrics, config):
                kind = str(metrics[0].data)
                calls[kind] += 1
                if kind == "permanent":
                    raise pw.Permanent("never")
                if kind == "no_data":
                    raise pw.NoData("nothing")
                if kind == "always" or calls[kind] < 3:
                    metrics[0].data = "spoilt by the first try"
                    raise ValueError("not yet")
                return metrics

        out = self.heard()
        await self.reader(Fails("fails"))
        for kind in ("permanent", "no_data", "always", "third"):
            await self.give(pw.point("n", v=kind))
        await self.settled()
        self.assertEqual([p.fields["v"] for p in out], ["third"])
        self.assertEqual(calls, {"permanent": 1, "no_data": 1, "always": 5, "third": 3})
        await self.until("letters", lambda: len(self.letters) == 2)
        self.assertEqual([letter(m) for m in self.letters], [("processor", "never"), ("processor", "not yet")])

    async def test_what_cannot_be_read_is_set_aside(self):
        await self.reader(Odd("odd"))
        await self.give_bytes(b"\x91\x01")
        await self.give_bytes(b"[1", kind="application/json")
        await self.until("letters", lambda: len(self.letters) == 2)
        first = self.letters[0]
        self.assertEqual((first.data, first.headers["Pw-Subject"]), (b"\x91\x01", f"pw.metrics.{HOST}.src"))
        self.assertRegex(first.headers["Pw-Stored"], r"^2\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        await self.settled()
        await self.until("error", lambda: self.agent.last.get("err", {}).get("code") == "decode")

    async def test_what_is_no_point_is_an_error_of_the_author(self):
        class Wrong(pw.Processor):
            def process(self, metrics, config):
                return 3

        await self.reader(Wrong("wrong"))
        await self.give(pw.point("n", v=1))
        await self.until("a letter", lambda: self.letters)
        self.assertIn("int is no metric", letter(self.letters[0])[1])

    async def test_several_calls_side_by_side(self):
        together = threading.Barrier(3, timeout=PATIENCE)

        class Slow(pw.Processor):
            def process(self, metrics, config):
                together.wait()

        await self.reader(Slow("slow"), parallel=3)
        for n in range(3):
            await self.give(pw.point("n", v=n))
        await self.settled()


class Sink(pw.Publisher):
    """Keeps what it is given; says each of its answers once, then nothing but yes."""

    def __init__(self, *answers):
        super().__init__("sink")
        self.answers, self.taken = list(answers), []

    def publish(self, metrics, config):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        self.taken += [m.data for m in metrics]
        return answer(metrics) if answer else None


class Publishers(LifeCase):
    async def test_any_error_has_it_given_again(self):
        sink = Sink(OSError("away"), pw.After("busy", 0.01), KeyError("x"), ValueError("odd"), OSError("a"), OSError("b"), OSError("c"))
        await self.reader(sink)
        await self.give(pw.point("n", v=1))
        await self.settled()
        self.assertEqual((sink.taken, self.letters), ([1], []))
        await self.flagged("failing", False)

    async def test_permanent(self):
        sink = Sink(pw.Permanent("schema"))
        await self.reader(sink)
        await self.give(pw.point("n", v=1), id="a/b/c/1")
        await self.give(pw.point("n", v=2))
        await self.settled()
        self.assertEqual(sink.taken, [2])
        await self.until("a letter", lambda: self.letters)
        self.assertEqual(letter(self.letters[0]), ("rejected", "schema"))
        self.assertEqual(self.letters[0].headers["Pw-Source-Id"], "a/b/c/1")

    async def test_some_points_are_refused(self):
        sink = Sink(lambda metrics: [m for m in metrics if m.data > 1])
        await self.reader(sink)
        dead = self.heard(f"pw.dead.{NAME}")
        await self.give(*(pw.point("n", {"k": str(v)}, v=v) for v in range(4)))
        await self.settled()
        await self.until("dead points", lambda: len(dead) == 2)
        self.assertEqual([p.fields["v"] for p in dead], [2, 3])
        self.assertEqual(letter(self.letters[0]), ("rejected", "the sink refuses these points"))

    async def test_too_large_is_halved(self):
        class Small(Sink):
            def publish(self, metrics, config):
                if len(metrics) > 2 or metrics[0].data == 0:
                    raise pw.TooLarge(f"{len(metrics)} metrics")
                super().publish(metrics, config)

        sink = Small()
        await self.reader(sink)
        dead = self.heard(f"pw.dead.{NAME}")
        await self.give(*(pw.point("n", v=v) for v in range(7)))
        await self.settled()
        self.assertEqual(sink.taken, [1, 2, 3, 4, 5, 6])
        await self.until("the one that is too large alone", lambda: dead)
        self.assertEqual(([p.fields["v"] for p in dead], letter(self.letters[0])[0]), ([0], "too_large"))

    async def test_denied_raises_one_alarm(self):
        alarms = self.heard(f"pw.events.{HOST}.{NAME}.denied")
        sink = Sink(*[pw.Denied("the password is wrong")] * 3)
        await self.reader(sink)
        await self.give(pw.point("n", v=1))
        await self.settled()
        await self.until("the alarm", lambda: alarms)
        self.assertEqual([p.fields["message"] for p in alarms], ["the password is wrong"])
        self.assertEqual(sink.taken, [1])

    async def test_a_call_in_progress_ends_before_the_plugin(self):
        begun, go_on = threading.Event(), threading.Event()

        class Slow(Sink):
            def publish(self, metrics, config):
                begun.set()
                go_on.wait(PATIENCE)
                super().publish(metrics, config)

        sink = Slow()
        await self.reader(sink)
        await self.give(pw.point("n", v=1))
        await self.until("the call", begun.is_set)
        self.life.drain()
        await self.until("draining", lambda: self.life.state == "draining")
        go_on.set()
        await asyncio.wait_for(self.work, PATIENCE)
        self.assertEqual(sink.taken, [1])
        await self.settled()

    async def test_what_hangs_is_told_and_given_back(self):
        self.set(_crew, HANG=0.1)
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        class Hangs(Sink):
            def publish(self, metrics, config):
                go_on.wait(PATIENCE)

        await self.reader(Hangs(), timeout_ms=50)
        await self.give(pw.point("n", v=1))
        await self.flagged("hung")
        go_on.set()
        await self.flagged("hung", False)
        await self.settled()

    async def test_an_async_call_is_cancelled_in_time(self):
        class Sleeps(Sink):
            async def publish(self, metrics, config):
                if not self.answers:
                    self.answers.append(None)
                    await asyncio.Event().wait()
                self.taken += [m.data for m in metrics]

        sink = Sleeps()
        await self.reader(sink, timeout_ms=50)
        await self.give(pw.point("n", v=1))
        await self.settled()
        self.assertEqual(sink.taken, [1])
        self.assertGreater(self.life.count.errors["timeout"], 0)

    async def test_an_exit_is_an_error_like_others(self):
        class Exits(Sink):
            async def publish(self, metrics, config):
                if not self.taken:
                    self.taken.append(0)
                    raise SystemExit(3)
                self.taken += [m.data for m in metrics]

        sink = Exits()
        await self.reader(sink)
        await self.give(pw.point("n", v=1))
        await self.settled()
        self.assertEqual(sink.taken, [0, 1])

    async def test_config_changes_between_batches(self):
        class Named(Sink):
            config = pw.ConfigPolicy(pw.StringRule("name"))

            def publish(self, metrics, config):
                self.taken += [f"{config.name} {m.data}" for m in metrics]

        sink = Named()
        await self.reader(sink, config={"name": "a"})
        await self.give(pw.point("n", v=1))
        await self.settled()
        self.agent.offers(2, {"name": "b"}, inputs=self.agent.offer["inputs"])
        await self.state("running", 2)
        await self.give(pw.point("n", v=2))
        await self.settled()
        self.assertEqual(sink.taken, ["a 1", "b 2"])


class Events(LifeCase):
    async def give_event(self, plugin, kind, message):
        await self.give(pw.point("event", {"type": kind}, message=message), subject=f"pw.events.{HOST}.{plugin}.{kind}")

    async def test_each_function_gets_its_own(self):
        app, got = pw.App("pager"), collections.defaultdict(list)

        @app.on("host_down")
        def host(events):
            got["host"] += [(e.host, e.kind, e.message) for e in events]

        @app.on("plugin_down", "fan_stopped")
        async def plugin(events, config):
            got["plugin"] += [e.plugin for e in events]

        @app.on()
        def every(events):
            got["all"] += [e.kind for e in events]

        await self.reader(app.plugin, "EVENTS")
        await self.give_event("agent", "down", "h1 is down")
        await self.give_event("fan", "down", "fan is down")
        await self.give_event("fan", "fan_stopped", "a stands still")
        await self.give_event("fan", "other", "")
        await self.settled("EVENTS")
        self.assertEqual(got, {"host": [(HOST, "down", "h1 is down")], "plugin": ["fan", "fan"], "all": ["down", "down", "fan_stopped", "other"]})

    async def test_those_that_wait_come_together(self):
        app, calls, go_on = pw.App("pager"), [], threading.Event()

        @app.on("down")
        def page(events):
            calls.append([e.message for e in events])
            if len(calls) == 1:
                go_on.wait(PATIENCE)
            if "b" in calls[-1]:
                raise pw.Permanent("not b") if len(calls[-1]) == 1 else pw.Permanent("not with b")

        await self.reader(app.plugin, "EVENTS")
        await self.give_event("agent", "down", "a")
        await self.until("the first call", lambda: calls)
        for message in "bcd":
            await self.give_event("agent", "down", message)
        await self.until("they have come", lambda: self.life.sources[-1].stats["queued"] == 3)
        go_on.set()
        await self.settled("EVENTS")
        self.assertEqual(calls, [["a"], ["b", "c", "d"], ["b"], ["c"], ["d"]])
        await self.until("a letter", lambda: self.letters)
        self.assertEqual([letter(m) for m in self.letters], [("rejected", "not b")])

    async def test_a_failed_call_is_made_again(self):
        app, calls = pw.App("pager"), []

        @app.on("down")
        def page(events):
            calls.append(len(events))
            if len(calls) < 3:
                raise OSError("no line")

        await self.reader(app.plugin, "EVENTS")
        await self.give_event("agent", "down", "a")
        await self.settled("EVENTS")
        self.assertEqual(calls, [1, 1, 1])

    async def test_a_plugin_sends_events(self):
        class Says(pw.Collector):
            def collect(self, metrics):
                self.event("fan_stuck", pw.Metric(("event", "message"), data="it is stuck", tags={"slot": "a"}))

        events = self.heard(f"pw.events.{HOST}.{NAME}.fan_stuck")
        await self.serve(Says("says"), every_ms=50)
        await self.until("an event", lambda: events)
        self.assertEqual((events[0].tags["slot"], events[0].fields), ("a", {"message": "it is stuck"}))


if __name__ == "__main__":
    unittest.main()
