import copy
import datetime
import gc
import math
import pickle
import unittest

from pacewire import Batch, Metric, Namespace, dynamic
from pacewire._gather import Gather, points_of
from pacewire._metric import add_metrics, from_batch
from points import AT, cpu, described, sent


def joined(metrics, at_ns=AT):
    """Metrics as a batch."""
    batch = Batch()
    batch.time_ns = at_ns
    add_metrics(batch, metrics)
    return batch


def points(batch):
    return ordered((p.series, p.time_ns, p.tags, p.fields) for p in batch.points())


def ordered(points):
    return sorted(points, key=lambda p: (p[0], p[1], sorted(p[2].items()), repr(sorted(p[3].items()))))


class Namespaces(unittest.TestCase):
    def test_split(self):
        def f(elements, *want):
            self.assertEqual(Namespace(*elements).split(), want)

        f(["load"], "load", "value", {})
        f(["cpu", "user"], "cpu", "user", {})
        f(["acme", "fan", dynamic("slot", value=3), "rpm"], "acme_fan", "rpm", {"slot": "3"})
        f([dynamic("on", value=True), "a", "b", dynamic("x", value="y")], "a", "b", {"on": "true", "x": "y"})
        f([["acme", "fan"], "rpm"], "acme_fan", "rpm", {})

    def test_faults(self):
        for elements in ([""], [3], [None], [("a", "")]):
            with self.assertRaises(TypeError, msg=elements):
                Namespace(*elements)
        with self.assertRaisesRegex(ValueError, "want at least one static element"):
            Namespace(dynamic("slot", value="a")).split()
        with self.assertRaisesRegex(ValueError, "needs a name"):
            dynamic("")

    def test_sequence(self):
        namespace = Namespace("acme").add_dynamic_element("slot", "bay number").add_static_element("rpm")
        self.assertEqual(len(namespace), 3)
        self.assertEqual([e.value for e in namespace], ["acme", "*", "rpm"])
        self.assertEqual([e.is_dynamic() for e in namespace], [False, True, False])
        self.assertEqual(namespace[1].description, "bay number")
        self.assertEqual(str(namespace), "/acme/*/rpm")
        self.assertEqual(repr(namespace), "Namespace('acme', ('*', 'slot', 'bay number'), 'rpm')")
        self.assertEqual(namespace, Namespace(namespace))
        self.assertNotEqual(namespace, Namespace("acme"))
        self.assertNotEqual(namespace, "acme")

    def test_of_a_metric(self):
        for given in ("/acme/fan/rpm", "acme/fan/rpm", ("acme", "fan", "rpm"), Namespace("acme", "fan", "rpm")):
            self.assertEqual(Metric(given).namespace, Namespace("acme", "fan", "rpm"))


class Metrics(unittest.TestCase):
    def test_defaults(self):
        m = Metric("load")
        self.assertEqual((m.data, m.tags, m.unit, m.description, m.version, m.config), (None, {}, "", "", 1, {}))
        m = Metric("load", 1, tags={"a": "b"}, unit="B", description="d", version=2, config={"c": 1})
        self.assertEqual((m.data, m.tags, m.unit, m.description, m.version, m.config), (1, {"a": "b"}, "B", "d", 2, {"c": 1}))
        with self.assertRaises(AttributeError):
            m.colour
        with self.assertRaises(AttributeError):
            m.colour = "red"

    def test_timestamp(self):
        def f(given, want):
            self.assertEqual(Metric("a", timestamp=given).timestamp, want)

        zone = datetime.timezone(datetime.timedelta(hours=2))
        f(17, 17)
        f(1763559525.997744, AT)
        f(datetime.datetime(2025, 11, 19, 15, 38, 45, 997744, zone), AT)
        f(-1.5, -1_500_000_000)
        for bad in ("now", True, [1]):
            with self.assertRaises(TypeError, msg=bad):
                Metric("a", timestamp=bad)

    def test_asked_for_its_time(self):
        """A metric without a time gets one for good when it is asked for it."""
        m = Metric("a", 1)
        at = m.timestamp
        self.assertGreater(at, AT)
        self.assertEqual(m.timestamp, at)
        self.assertEqual(next(joined([m]).points()).time_ns, at)

    def test_repr(self):
        self.assertEqual(repr(Metric("/a/b", 1.5, tags={"c": "d"})), "Metric('/a/b', 1.5, timestamp=None, tags={'c': 'd'})")


class Joining(unittest.TestCase):
    def test_points(self):
        """Metrics of one series, time and tags are a point, wherever their tags come from, and in whatever order."""
        batch = joined([
            Metric(("fan", dynamic("slot", value="a"), "rpm"), 900),
            Metric(("fan", "on"), True, tags={"slot": "a"}),
            Metric(("fan", dynamic("slot", value="b"), "rpm"), 880, tags={"rack": "r1"}),
            Metric(("fan", "on"), False, tags={"rack": "r1", "slot": "b"}),
            Metric(("fan", "name"), "x", tags={"slot": "b", "rack": "r1"}),
            Metric(("fan", "rpm"), 1, timestamp=17),
        ])
        self.assertEqual(points(batch), ordered([
            ("fan", 17, {}, {"rpm": 1}),
            ("fan", AT, {"slot": "a"}, {"rpm": 900, "on": True}),
            ("fan", AT, {"slot": "b", "rack": "r1"}, {"rpm": 880, "on": False, "name": "x"})]))

    def test_twice(self):
        """The same name twice is two points, for neither is to be lost."""
        batch = joined([Metric(("s", "v"), 1), Metric(("s", "v"), 2), Metric(("s", "w"), 3)])
        self.assertEqual(sorted(sorted(p.fields.items()) for p in batch.points()), [[("v", 1), ("w", 3)], [("v", 2)]])

    def test_nothing(self):
        self.assertEqual(len(joined([])), 0)
        self.assertEqual(len(joined([Metric("a")])), 0)

    def test_tags_of_any_kind(self):
        batch = joined([Metric("a", 1, tags={"n": 7, "on": True, "l": [1]}), Metric(("a", "b"), 2, tags={"l": [1], "on": True, "n": 7})])
        self.assertEqual([p.tags for p in sent(batch).points()], [{"n": "7", "on": "true", "l": "[1]"}])


class Passing(unittest.TestCase):
    """Metrics of a batch, given to an author and back."""

    def changed(self, change, batch=None):
        """What a batch is after change had its metrics."""
        metrics = from_batch(cpu() if batch is None else batch)
        out = change(metrics)
        return joined(metrics if out is None else out)

    def test_untouched(self):
        for n in (1, 3, 200):
            self.assertEqual(described(sent(self.changed(lambda metrics: metrics, cpu(n)))), described(cpu(n)))

    def test_what_they_say(self):
        m = from_batch(cpu())[6]
        self.assertEqual((str(m.namespace), m.data, m.timestamp, m.tags), ("/cpu/ctx", 0, AT + 1000, {"cpu": "cpu1", "dc": "eu"}))
        self.assertEqual((m.unit, m.description, m.version, m.config), ("", "", 1, {}))
        self.assertIs(m.config, m.config)
        with self.assertRaises(AttributeError):
            m.colour
        with self.assertRaisesRegex(TypeError, "give the metric one of its own"):
            m.namespace.add_static_element("x")

    def test_read_only(self):
        """Looking at a metric changes nothing, and keeps its point in one piece."""
        batch = self.changed(lambda metrics: [m for m in metrics if m.tags and m.timestamp and m.namespace and m.config == {}])
        self.assertEqual(described(batch), described(cpu()))
        self.assertEqual(len(batch.groups), 1)

    def test_values(self):
        def f(change, want, types):
            def all_of(metrics):
                for m in metrics:
                    if str(m.namespace) == "/cpu/user":
                        m.data = change(m.data)

            batch = sent(self.changed(all_of))
            self.assertEqual([p.fields.get("user") for p in sorted(batch.points(), key=lambda p: p.time_ns)], want)
            self.assertEqual({p.types["user"] for p in batch.points() if "user" in p.fields}, set(types))
            self.assertEqual(len(batch), 3)

        f(lambda v: v * 2, [1.0, 3.0, 5.0], "f")
        f(lambda v: int(v), [0.0, 1.0, 2.0], "f")  # a field that was a float is one still
        f(lambda v: v if v > 1 else 0, [0.0, 1.5, 2.5], "f")
        f(lambda v: v > 1, [False, True, True], "b")
        f(lambda v: f"{v}", ["0.5", "1.5", "2.5"], "s")
        f(lambda v: v if v > 1 else "low", ["low", 1.5, 2.5], "fs")
        f(lambda v: math.nan if v > 1 else v, [0.5, None, None], "f")
        f(lambda v: None if v > 1 else v, [0.5, None, None], "f")
        f(lambda v: 10**400 if v > 1 else v, [0.5, None, None], "f")
        f(lambda v: 10**400 if v > 1 else 7, [7.0, None, None], "f")
        f(lambda v: None, [None, None, None], "")

    def test_nan_is_counted(self):
        def f(metrics):
            metrics[0].data = math.inf

        self.assertEqual(self.changed(f).drops, {"nan": 1})

    def test_integers(self):
        def f(field, change, want):
            def all_of(metrics):
                for m in metrics:
                    if m.namespace[1].value == field:
                        m.data = change(m.data)

            got = sorted(sent(self.changed(all_of)).points(), key=lambda p: p.time_ns)
            self.assertEqual([(p.types.get(field), p.fields.get(field)) for p in got], want)

        f("ctx", lambda v: v + 1, [("i", 0), ("i", 1), ("i", 2)])
        f("ctx", lambda v: 2**63 if v == 0 else v, [("i", -1), ("u", 2**63), ("i", 1)])
        f("ctx", lambda v: 2**64 if v == 0 else v, [("i", -1), (None, None), ("i", 1)])
        f("ctx", lambda v: v / 4, [("f", -0.25), ("f", 0.0), ("f", 0.25)])
        f("rss", lambda v: v - 2**63, [("u", 0), ("u", 1), ("u", 2)])
        f("rss", lambda v: 2**63 - 1 - v, [(None, None)] * 3)  # as where any value does not fit its type

    def test_fewer(self):
        rows = described(cpu())
        self.assertEqual(described(self.changed(lambda metrics: metrics[5:10])), [r for r in rows if "cpu1" in r])
        self.assertEqual(described(self.changed(lambda metrics: [m for m in metrics if m.tags["cpu"] != "cpu1"])), [r for r in rows if "cpu1" not in r])
        self.assertEqual(described(self.changed(lambda metrics: reversed(metrics))), rows)
        got = self.changed(lambda metrics: [m for m in metrics if not (m.namespace[1].value == "ctx" and m.data == 0)])
        self.assertEqual([p.fields.get("ctx") for p in got.points()], [-1, None, 1])
        self.assertEqual(len(self.changed(lambda metrics: [])), 0)

    def test_doubled(self):
        """A metric given back twice is two points, as two metrics of one name are."""
        self.assertEqual(len(self.changed(lambda metrics: metrics + metrics)), 6)
        batch = self.changed(lambda metrics: metrics + metrics[:1])
        self.assertEqual(sorted(len(p.fields) for p in batch.points()), [1, 5, 5, 5])

    def test_tags(self):
        def f(metrics):
            for m in metrics:
                m.tags["site"] = "lab"
                del m.tags["dc"]

        got = sent(self.changed(f))
        self.assertEqual([p.tags for p in got.points()], [{"cpu": f"cpu{i}", "site": "lab"} for i in range(3)])
        self.assertEqual([sorted(p.types.values()) for p in got.points()], [list("bfisu")] * 3)

    def test_tags_of_some(self):
        """Points of one group whose tags have other keys now are of one group still."""
        def f(metrics):
            for m in metrics:
                if m.tags["cpu"] == "cpu1":
                    m.tags = {"socket": 1}

        batch = self.changed(f)
        self.assertEqual(len(batch.groups), 1)
        self.assertEqual([p.tags for p in sent(batch).points()], [{"cpu": "cpu0", "dc": "eu"}, {"socket": "1"}, {"cpu": "cpu2", "dc": "eu"}])

    def test_tags_of_one(self):
        """The other metrics of the point have tags of their own."""
        def f(metrics):
            metrics[0].tags["site"] = "lab"

        self.assertEqual(sorted((len(p.tags), len(p.fields)) for p in self.changed(f).points()), [(2, 4), (2, 5), (2, 5), (3, 1)])

    def test_names(self):
        def f(metrics):
            for m in metrics:
                if m.namespace[1].value == "rss":
                    m.data -= 2**63
                m.namespace = ("proc", dynamic("kind", value="x"), m.namespace[1].value)

        got = sent(self.changed(f))
        self.assertEqual(sorted((p.series, p.tags["kind"], p.fields["rss"], p.types["rss"]) for p in got.points()),
                         [("proc", "x", i, "u") for i in range(3)])

    def test_times(self):
        def f(metrics):
            for m in metrics:
                m.timestamp = AT if m.data is True else None

        got = points(self.changed(f))
        self.assertEqual({at for _, at, _, _ in got}, {AT})
        self.assertEqual(len(got), 3)

    def test_new_ones(self):
        """New metrics beside given ones join their points."""
        def f(metrics):
            return metrics + [Metric(("cpu", "twice"), m.data * 2, timestamp=m.timestamp, tags=m.tags) for m in metrics
                              if m.namespace[1].value == "user"]

        got = self.changed(f)
        self.assertEqual(sorted(p.fields["twice"] for p in got.points() if "twice" in p.fields), [1.0, 3.0, 5.0])

    def test_sparse(self):
        batch = cpu(2)
        batch.groups[0].set_field("user", [None, 1.5])
        batch.groups[0].set_tag("cpu", ["", "cpu1"])
        want = described(batch)
        self.assertEqual(described(self.changed(lambda metrics: metrics, batch)), want)

    def test_copies(self):
        """Copies are metrics of the same points, also when they were in another process."""
        for copied in (copy.copy, copy.deepcopy):
            self.assertEqual(described(self.changed(lambda metrics: [copied(m) for m in metrics])), described(cpu()))
        self.assertEqual(described(self.changed(lambda metrics: pickle.loads(pickle.dumps(metrics)))), described(cpu()))

    def test_no_cycles(self):
        """What came of a batch goes with the last of its metrics: nothing of it waits for the collector of garbage."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.changed(lambda metrics: [m for m in metrics if m.tags and m.namespace and m.timestamp])
        self.assertEqual(gc.collect(), 0)

    def test_of_another_time(self):
        """Metrics stay what they were when their batch changes."""
        batch = cpu()
        metrics = from_batch(batch)
        batch.groups[0].select([0])
        batch.groups[0].tags["x"] = "y"
        self.assertEqual(described(joined(metrics)), described(cpu()))


class Gathering(unittest.TestCase):
    def test_kinds(self):
        gather = Gather("h", AT)
        gather.add(Metric(("fan", "rpm"), 900))
        gather.add([Metric(("fan", "on"), True), next(cpu(1).points())])
        gather.add((cpu(2),))
        batch = gather.batch()
        self.assertEqual(batch.host, "h")
        self.assertEqual([(p.series, p.time_ns) for p in batch.points()].count(("fan", AT)), 1)
        self.assertEqual(len(batch), 4)
        self.assertIs(gather.batch(), batch)
        self.assertEqual(len(batch), 4, "nothing is added twice")

    def test_refused(self):
        gather = Gather("h", AT)
        for item, says in ((Metric("a"), "has no data"), (7, "int is no metric"), ({"a": 1}, "dict is no metric"), (None, "NoneType")):
            with self.assertRaisesRegex(TypeError, says):
                gather.add(item)

    def test_times(self):
        """Each item of a stream has its own time, and a metric that is yielded again the new one."""
        gather, m = Gather("h"), Metric(("a", "b"), 1)
        gather.add_at(m, AT)
        gather.add_at(Metric(("a", "c"), 1), AT)
        gather.add_at(m, AT + 1000)
        gather.add_at(Metric(("a", "b"), 2, timestamp=17), AT + 1000)
        self.assertEqual(points(gather.batch()), [("a", 17, {}, {"b": 2}), ("a", AT, {}, {"b": 1, "c": 1}), ("a", AT + 1000, {}, {"b": 1})])

    def test_counts(self):
        """What a batch has left out is counted once."""
        batch = Batch()
        batch.add("s", {"v": math.nan, "w": 1})
        gather = Gather("h", AT)
        gather.add(batch)
        self.assertEqual(gather.batch().drops, {"nan": 1})

    def test_dicts(self):
        def f(values, *want):
            got = [(p.series, p.tags, p.fields) for p in points_of("m", values, AT)]
            self.assertEqual(got, list(want))

        f({"a": 1, "b": "x", "c": True, "d": None, "e": math.nan}, ("m", {}, {"a": 1, "b": "x", "c": True}))
        f({"disk": {"used": 1.5, "io": {"r": 1}}}, ("m_disk", {}, {"used": 1.5}), ("m_disk_io", {}, {"r": 1}))
        f({"cpus": [{"user": 1}, {"user": 2}], "temps": [30.5]}, ("m_cpus", {"index": "0"}, {"user": 1}), ("m_cpus", {"index": "1"}, {"user": 2}),
          ("m_temps", {"index": "0"}, {"value": 30.5}))
        f({})
        self.assertEqual([p.time_ns for p in points_of("m", {"timestamp": 17.5, "a": 1}, AT)], [17_500_000_000])
        self.assertEqual([p.time_ns for p in points_of("m", {"timestamp": True, "a": 1}, AT)], [AT])
        with self.assertRaisesRegex(TypeError, "want a dict"):
            points_of("m", [1], AT)


if __name__ == "__main__":
    unittest.main()
