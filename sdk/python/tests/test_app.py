import asyncio
import logging
import unittest

import pacewire as pw
from pacewire._kinds import semver
from pacewire._once import Solo

LOG = logging.getLogger("pacewire.test")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


def once(app, config=None, lines=()):
    """What a plugin sends that works once, without a bus: its points, its facts, and what went wrong."""
    plugin = getattr(app, "plugin", app)
    points, facts = [], []
    solo = Solo(plugin, plugin.get_config_policy().read(config or {}), LOG, "h1", plugin.name, lambda b: points.extend(b.points()), facts.append)
    asyncio.run(solo.run([line.encode() + b"\n" for line in lines], limit=60.0))
    return points, facts, solo.outcome()


class Functions(unittest.TestCase):
    def test_collect(self):
        def f(decorate, collect):
            app = pw.App("fan", config=[pw.IntegerRule("limit", default=3)], catalog=[pw.Metric(("fan", "rpm"))])
            self.assertIs(decorate(app)(collect), collect)  # it stays a function, to be called by tests
            points, _, wrong = once(app)
            self.assertEqual(([p.fields for p in points], wrong), ([{"rpm": 3}], ""))

        def plain(config):
            return pw.point("fan", rpm=config.limit)

        def generator(metrics):
            yield pw.point("fan", rpm=metrics[0].config.limit)

        async def coroutine(metrics, config):
            return [pw.point("fan", rpm=config.limit)]

        async def stream(config, metrics=None):
            yield pw.point("fan", rpm=config.limit)

        def nothing_named():
            return {pw.Metric(("fan", "rpm"), data=3)}

        for collect in (plain, generator, coroutine, stream, nothing_named):
            f(lambda app: app.collect, collect)
            f(lambda app: app.collect(every="5s"), collect)

    def test_stream(self):
        app = pw.App("clock")

        @app.stream
        async def ticks():
            yield pw.point("tick", n=1)

        points, _, wrong = once(app)
        self.assertEqual((points[0].fields, wrong), ({"n": 1}, ""))

    def test_process(self):
        lines = ["cpu usage=1", "cpu usage=2"]
        by_metric, by_batch = pw.App("double"), pw.App("hot")

        @by_metric.process
        def double(metrics):
            for m in metrics:
                m.data *= 2
                yield m

        @by_batch.process
        def hot(batch):
            for group in batch.groups:
                group.keep([v > 1 for v in group.column("usage")])
            return batch

        self.assertEqual([p.fields["usage"] for p in once(by_metric, lines=lines)[0]], [2.0, 4.0])
        self.assertEqual([p.fields["usage"] for p in once(by_batch, lines=lines)[0]], [2.0])

    def test_publish(self):
        app, got = pw.App("sink", config=[pw.StringRule("to", default="x")]), []

        @app.publish
        def sink(batch, config):
            got.extend((config.to, p.fields) for p in batch.points())

        self.assertEqual(once(app, {"to": "y"}, ["cpu usage=1"])[2], "")
        self.assertEqual(got, [("y", {"usage": 1.0})])

    def test_a_publisher_that_fails_says_so(self):
        app = pw.App("sink")

        @app.publish
        def sink(metrics):
            raise OSError("no disk")

        self.assertIn("no disk", once(app, lines=["cpu usage=1"])[2])

    def test_lines_that_cannot_be_read_are_left_out(self):
        app = pw.App("same")

        @app.process
        def same(metrics):
            return metrics

        points, _, wrong = once(app, lines=["cpu usage=1", "cpu usage", "# a comment", '{"series":"n","fields":{"v":1}}'])
        self.assertEqual(sorted(p.series for p in points), ["cpu", "n"])
        self.assertIn("line 2", wrong)

    def test_info_and_monitor(self):
        info, monitor = pw.App("rack"), pw.App("load")

        @info.info
        def rack():
            return {"units": 42}

        @monitor.monitor(every="10s")
        async def load():
            return {"one": 0.5, "cpus": [1, 2]}

        self.assertEqual(once(info)[1], [{"units": 42}])
        self.assertEqual([(p.series, p.tags.get("index"), p.fields) for p in once(monitor)[0]],
                         [("load", None, {"one": 0.5}), ("load_cpus", "0", {"value": 1}), ("load_cpus", "1", {"value": 2})])

    def test_events(self):
        app, got = pw.App("pager"), []

        @app.on("cpu")
        def page(events, config):
            got.extend(events)

        self.assertEqual(app.plugin.kind, "publisher")
        event = pw.Event("down", "h1", "agent", 1, "event", {}, {"message": "h1 is down"})
        for name, want in (("down", True), ("host_down", True), ("plugin_down", False), ("up", False)):
            self.assertEqual(event.is_of(name), want, name)
        self.assertTrue(event._replace(plugin="fan").is_of("plugin_down"))
        self.assertEqual(event.message, "h1 is down")

    def test_hooks(self):
        app, said = pw.App("fan"), []

        @app.collect
        async def fan():
            said.append("collect")

        @app.start
        def begin(config):
            said.append(f"start in {app.dir[:1]} on {app.host}")

        @app.stop
        async def end():
            said.append(f"stop {app.stopping.is_set()}")

        @app.health
        def health():
            return "well"

        self.assertEqual(once(app)[2], "")
        self.assertEqual(said, ["start in / on h1", "collect", "stop True"])
        self.assertIs(app.config, app.plugin.config)
        self.assertIs(app.log, app.plugin.log)

    def test_what_cannot_be_declared(self):
        app = pw.App("fan")
        with self.assertRaisesRegex(ValueError, "fan does nothing yet: decorate"):
            app.run()
        with self.assertRaisesRegex(ValueError, "decorate what fan does first"):
            app.start(lambda: None)
        app.collect(lambda: None)
        for decorate in (app.process, app.publish, app.info, app.on("down")):
            with self.assertRaisesRegex(ValueError, "fan is a collector already: one process is one plugin"):
                decorate(lambda metrics: None)
        with self.assertRaisesRegex(ValueError, "a plugin needs a name"):
            pw.App("").collect(lambda: None)

    def test_an_argument_that_nobody_gives(self):
        def f(decorate, function, want):
            with self.assertRaisesRegex(TypeError, want):
                decorate(pw.App("fan"))(function)

        f(lambda app: app.collect, lambda metrics, secret: None, "wants 'secret': it can be given metrics, config")
        f(lambda app: app.process, lambda batch, metrics, more: None, "wants 'metrics': it can be given batch, config")
        f(lambda app: app.on(), lambda events, config, more: None, "wants 'more': it can be given events, config")
        f(lambda app: app.info, lambda config, more: None, "wants 'more': it can be given config")
        pw.App("fan").collect(lambda m, config, more=3: None)


class Kinds(unittest.TestCase):
    def test_versions(self):
        for given, want in ((1, "1.0.0"), ("2", "2.0.0"), ("1.2.3", "1.2.3"), ("1.2.3-rc.1", "1.2.3-rc.1")):
            self.assertEqual(semver(given), want)
        for wrong in ("", "1.2", "v1.2.3", "1.2.3 "):
            with self.assertRaisesRegex(ValueError, "write it like 1.0.0"):
                semver(wrong)

    def test_what_an_author_has_not_written(self):
        for kind, method in ((pw.Collector, "collect"), (pw.StreamCollector, "stream"), (pw.InfoPlugin, "collect"), (pw.MonitorPlugin, "collect")):
            wrong = once(kind("x"))[2]
            self.assertIn("NotImplementedError", wrong, method)

    def test_events_at_work_only(self):
        with self.assertRaisesRegex(RuntimeError, "while the plugin is at work"):
            pw.Collector("fan").event("x", pw.point("n", v=1))

    def test_a_policy_of_the_instance(self):
        class Fan(pw.Collector):
            def __init__(self):
                super().__init__("fan")
                self.config = pw.ConfigPolicy(pw.IntegerRule("n", default=3))

        fan = Fan()
        self.assertEqual(fan.get_config_policy().read({}), {"n": 3})
        fan.config = pw.ConfigMap({"n": 4})  # at work it is the config in force
        self.assertEqual(fan.get_config_policy().rules, {})

    def test_a_collector_with_a_method_called_initialize(self):
        class Fan(pw.Collector):
            def initialize(self):
                raise AssertionError("is its own affair")

            def collect(self, metrics):
                return pw.point("fan", n=len(metrics))

        self.assertEqual(once(Fan("fan"))[0][0].fields, {"n": 0})


if __name__ == "__main__":
    unittest.main()
