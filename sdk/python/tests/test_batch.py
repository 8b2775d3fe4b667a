import json
import math
import pathlib
import unittest
from decimal import Decimal

from pacewire import Batch, BatchError, Point
from pacewire._batch import CONTENT_TYPE, counted_frames, decode, frames
from points import AT, JSON, LINES, SCHEMAS, STORED, cases, cpu, described, read, sent

FORMS = {"msgpack": CONTENT_TYPE, "json": JSON}


class Golden(unittest.TestCase):
    """What every language must read, and refuse."""

    def test_valid(self):
        folder = SCHEMAS / "batch" / "valid"
        for case in cases("batch")["valid"]:
            want = described(read((folder / f"{case['name']}.points.json").read_bytes(), JSON))
            for form in case["forms"]:
                body = (folder / f"{case['name']}.{form}").read_bytes()
                for content_type in (FORMS[form], FORMS[form].upper(), None):
                    with self.subTest(case["name"], form=form, content_type=content_type):
                        batch = read(body, content_type)
                        batch.drops.pop("time_skew", None)
                        self.assertEqual(batch.drops, case["drops"])
                        self.assertEqual(described(batch), want)
                        self.assertEqual(described(sent(batch)), want, "sent on")

    def test_invalid(self):
        for case in cases("batch")["invalid"]:
            with self.subTest(case["file"]):
                file = SCHEMAS / "batch" / "invalid" / case["file"]
                with self.assertRaises(BatchError) as caught:
                    read(file.read_bytes(), FORMS[file.suffix[1:]])
                self.assertEqual(caught.exception.code, case["code"], caught.exception)

    def test_prefixes(self):
        whole = (SCHEMAS / "batch" / "valid" / "minimal.msgpack").read_bytes()
        for n in range(len(whole)):
            with self.assertRaises(BatchError) as caught:
                read(whole[:n])
            self.assertEqual(caught.exception.code, "truncated" if n else "empty", whole[:n])

    def test_streams(self):
        """Batches as a stream gives them: with a host, a time of arrival, and headers."""
        for case in cases("stream")["valid"]:
            if case["kind"] != "batch":
                continue
            with self.subTest(case["name"]):
                message = json.loads((SCHEMAS / "stream" / "valid" / f"{case['name']}.json").read_text())
                body = bytes.fromhex(message["body_hex"]) if "body_hex" in message else message["body"].encode()
                reads = message["reads"]
                batch = read(body, message["headers"].get("Content-Type"), reads["host"])
                self.assertEqual(batch.drops, reads.get("drops", {}))
                self.assertEqual(described(batch), described(read(json.dumps(reads["points"]).encode(), JSON)))


class Forms(unittest.TestCase):
    def test_content_types(self):
        def refused(content_type, body, code):
            with self.assertRaises(BatchError) as caught:
                read(body, content_type)
            self.assertEqual(caught.exception.code, code, content_type)

        refused("application/json; charset=utf-8", b"[]", "content_type")
        refused("text/plain", b"[]", "content_type")
        refused("text/x-influx;precision=h", b"a b=1", "content_type")
        refused("text/x-influx;precision", b"a b=1", "content_type")
        refused("text/x-influx;precision=s;precision=s", b"a b=1", "content_type")
        refused(None, b"\x81", "content_type")
        refused(None, b"\x1f", "content_type")
        refused(None, b"\xef\xbb\xbf", "content_type")
        refused(None, b"", "empty")
        refused(JSON, b"", "empty")
        refused(LINES, b"a b=1\n" * (1 << 18), "too_large")
        refused(None, b"\xff\xfe[\0]\0", "content_type")

    def test_sniffed(self):
        def f(body, n):
            self.assertEqual(len(read(body, None)), n, body)

        point = b'{"series":"a","fields":{"b":1}}'
        f(b"\xef\xbb\xbf\n\t " + point + b"\r\n", 1)
        f(point + b"\n\n" + point, 2)
        f(b" [" + point + b"," + point + b"]", 2)
        f(b"a b=1\na b=2 17\n", 2)
        f(b"\xef\xbb\xbfa b=1", 1)
        f("é b=1".encode(), 1)

    def test_arrival(self):
        def f(body, content_type, want):
            self.assertEqual([p.time_ns for p in read(body, content_type).points()], [want])

        f(b'{"series":"a","fields":{"b":1}}', JSON, STORED)
        f(b"a b=1", LINES, STORED)
        f(b"a b=1 17", "text/x-influx; precision=ms", 17 * 10**6)
        f(b"a b=1 17", 'Text/X-Influx; Precision="us"', 17000)

    def test_skew(self):
        batch = read(b"a b=1 1\na b=2 1763563127s\na b=3", LINES)
        self.assertEqual(batch.drops, {"line": 1, "time_skew": 1})
        self.assertEqual(read(b"a b=2 1763563127\na b=3 1763563126", "text/x-influx;precision=s").drops, {"time_skew": 1})

    def test_host(self):
        batch = read(b"a,host=own b=1\na b=2", LINES, host="web-1")
        self.assertEqual([p.tags["host"] for p in batch.points()], ["own", "web-1"])


class Adding(unittest.TestCase):
    """Points that are added one by one, as their readers get them."""

    def one(self, fields, types=None, tags=None, series="s"):
        batch = Batch()
        batch.add(series, fields, tags, AT, types)
        out = sent(batch)
        return [p for p in out.points()], batch.drops

    def test_values(self):
        def f(value, want, letter, types=None):
            points, drops = self.one({"v": value}, types)
            got = points[0].fields["v"]
            self.assertEqual((got, type(got), points[0].types["v"]), (want, type(want), letter))
            self.assertEqual(drops, {})

        class Text(str):
            pass

        class Index:
            def __index__(self):
                return 7

        f(1.5, 1.5, "f")
        f(-0.0, -0.0, "f")
        f(5e-324, 5e-324, "f")
        f(1.7976931348623157e308, 1.7976931348623157e308, "f")
        f(0, 0, "i")
        f(2**63 - 1, 2**63 - 1, "i")
        f(-2**63, -2**63, "i")
        f(2**63, 2**63, "u")
        f(2**64 - 1, 2**64 - 1, "u")
        f(3, 3, "u", {"v": "u"})
        f(3, 3.0, "f", {"v": "f"})
        f(3.0, 3, "i", {"v": "i"})
        f("3", 3, "u", {"v": "u"})
        f(True, True, "b")
        f(False, False, "b")
        f("", "", "s")
        f("zwölf \U0001f600\n\0", "zwölf \U0001f600\n\0", "s")
        f("half \ud800", "half \ufffd", "s")
        f(b"bytes \xff", "bytes \ufffd", "s")
        f(Text("own"), "own", "s")
        f(Index(), 7, "i")
        f(Decimal("1.25"), 1.25, "f")
        f("x" * 70000, "x" * 65535, "s")
        f("é" * 40000, "é" * 32767, "s")

    def test_left_out(self):
        def f(fields, want, types=None):
            points, drops = self.one({**fields, "good": 1}, types)
            self.assertEqual([p.fields for p in points], [{"good": 1}])
            self.assertEqual(drops, want)

        f({"v": math.nan}, {"nan": 1})
        f({"v": math.inf, "w": -math.inf}, {"nan": 2})
        f({"v": 10**400}, {"nan": 1}, {"v": "f"})
        f({"v": None}, {})
        f({"v": 2**64}, {"int_range": 1})
        f({"v": -2**63 - 1}, {"int_range": 1})
        f({"v": [1], "w": object()}, {"type": 2})
        f({"v": "three"}, {"type": 1}, {"v": "i"})
        f({"v": [1], "w": None}, {"type": 1}, {"v": "i", "w": "i"})
        f({"v": -1}, {"int_range": 1}, {"v": "u"})
        f({"v": 1}, {"unknown_type": 1}, {"v": "h"})

    def test_no_point(self):
        def f(want, *point, **named):
            batch = Batch()
            batch.add(*point, **named)
            self.assertEqual(frames(batch), [])
            self.assertEqual(batch.drops, want)

        f({"no_fields": 1}, "s", {})
        f({"no_fields": 1}, "s", {"v": None})
        f({"nan": 1, "no_fields": 1}, "s", {"v": math.nan})
        f({"int_range": 1, "no_fields": 1}, "s", {"v": 1 << 70})
        f({"time_range": 1}, "s", {"v": 1.0}, time_ns=1 << 63)
        f({"limit": 1}, "s", {f"f{i}": 1.0 for i in range(257)})
        f({"limit": 1}, "s", {"v": 1.0}, {f"t{i}": "x" for i in range(65)})

    def test_names(self):
        points, _ = self.one({"a\nb": 1.0, "a b": 2.0, "": 3.0, "ü" * 200: 4.0}, tags={"k\x7f": "v\tw", 7: True, "n": None, "long": "é" * 600},
                             series="s\0")
        self.assertEqual(points[0].series, "s ")
        self.assertEqual(points[0].fields, {"a b": 1.0, "a b_2": 2.0, "_": 3.0, "ü" * 127: 4.0})
        self.assertEqual(points[0].tags, {"k ": "v w", "7": "true", "long": "é" * 512})

    def test_times(self):
        batch = Batch()
        batch.time_ns = AT
        for at in (None, 0, -1, 2**63 - 1, -2**63):
            batch.add("s", {"v": 1.0}, time_ns=at)
        self.assertEqual([p.time_ns for p in sent(batch).points()], [AT, 0, -1, 2**63 - 1, -2**63])

    def test_no_time(self):
        for at in (1763559525.5, "now"):
            batch = Batch()
            batch.add("s", {"v": 1.0}, time_ns=at)
            with self.assertRaisesRegex(TypeError, "want nanoseconds since 1970"):
                frames(batch)

    def test_now(self):
        batch = Batch()
        batch.add("s", {"v": 1.0})
        at = next(iter(batch.points())).time_ns
        self.assertGreater(at, STORED)
        self.assertEqual(at % 1000, 0)

    def test_append(self):
        batch = cpu()
        copy = Batch()
        copy.extend(batch.points())
        self.assertEqual(described(copy), described(batch))
        copy.append(Point("cpu", AT, {}, {"n": 1}, {"n": "f"}))
        self.assertEqual([p.fields for p in copy.points()][-1], {"n": 1.0})

    def test_mixed(self):
        """Points that differ in type or in what they have stay as they are, in as few groups as that takes."""
        batch = Batch()
        given = [1, 1.5, True, "x", 2**63, 2, 2.5, None]
        for i, v in enumerate(given):
            batch.add("s", {"v": v, "i": i}, time_ns=AT + i)
        got = sorted((p.fields["i"], p.fields.get("v")) for p in sent(batch).points())
        self.assertEqual([v for _, v in got], given)
        self.assertEqual(len(batch.groups), 6)


class Frames(unittest.TestCase):
    def test_round_trip(self):
        for n in (1, 2, 3, 500, 3000):
            with self.subTest(n):
                batch = cpu(n)
                self.assertEqual(described(sent(batch)), described(cpu(n)))
                self.assertEqual(batch.drops, {})

    def test_bytes(self):
        """The bytes are what telemetry/python_golden_test.go reads in Go."""
        for case in json.loads((pathlib.Path(__file__).parent / "testdata" / "frames.json").read_text()):
            with self.subTest(case["name"]):
                batch = read(json.dumps(case["points"]).encode(), JSON)
                self.assertEqual([frame.hex() for frame in frames(batch, case["max_bytes"])], case["frames"])

    def test_cut(self):
        for limit in (400, 1000, 10_000):
            with self.subTest(limit):
                bodies = frames(cpu(700), limit)
                self.assertLessEqual(max(map(len, bodies)), limit)
                self.assertGreater(len(bodies), 1)
                self.assertEqual(described(sent(cpu(700), limit)), described(cpu(700)))

    def test_counted(self):
        counted = counted_frames(cpu(701), 1000)
        self.assertEqual([len(read(body)) for body, _ in counted], [points for _, points in counted])
        self.assertEqual(sum(points for _, points in counted), 701)

    def test_too_large(self):
        batch = Batch()
        batch.add("s", {"v": "x" * 5000}, time_ns=AT)
        batch.add("s", {"v": "y"}, time_ns=AT)
        self.assertEqual(len(frames(batch, 1000)), 1)
        self.assertEqual(batch.drops, {"too_large": 1})

    def test_limits(self):
        def f(batch, messages, points):
            bodies = frames(batch, 1 << 20)
            self.assertEqual(len(bodies), messages)
            self.assertEqual(sum(len(read(body)) for body in bodies), points)

        series = Batch()
        for i in range(1500):
            series.add(f"s{i}", {"v": 1.0}, time_ns=AT)
        f(series, 2, 1500)
        points = Batch()
        for _ in range(70_000):
            points.add("s", {"v": 1.0}, time_ns=AT)
        f(points, 2, 70_000)
        cells = Batch()
        for _ in range(2000):
            cells.add("s", {f"f{i}": 1.0 for i in range(200)}, time_ns=AT)
        f(cells, 2, 2000)

    def test_unit(self):
        def f(times, unit):
            batch = Batch()
            for at in times:
                batch.add("s", {"v": 1.0}, time_ns=at)
            body = frames(batch)[0]
            self.assertTrue(body.startswith(b"\x95\x01" + unit), body.hex())
            self.assertEqual([p.time_ns for p in read(body).points()], times)

        f([10**9, 3 * 10**9], b"\xce\x3b\x9a\xca\x00")
        f([10**9, 10**9 + 10**6], b"\xce\x00\x0f\x42\x40")
        f([AT, AT + 5000], b"\xcd\x03\xe8")
        f([AT, AT + 1], b"\x01")
        f([-2**63, 2**63 - 1], b"\x01")

    def test_empty(self):
        self.assertEqual(frames(Batch()), [])
        self.assertEqual(len(Batch()), 0)

    def test_dense(self):
        """What a point costs: 500 of them as a collector sends them."""
        batch = Batch()
        for i in range(500):
            batch.add("cpu", {"a": i * 0.01, "b": i * 0.5, "c": 100.0, "d": 100000 + 31 * i, "e": i % 200},
                      {"cpu": f"cpu{i % 16}", "host": f"web-{i % 20}", "rack": f"r{i % 4}", "keep": "yes"}, AT + 1000 * i)
        self.assertLess(len(frames(batch)[0]), 30 * 500)


class Errors(unittest.TestCase):
    def test_text(self):
        with self.assertRaises(BatchError) as caught:
            decode(b"\x91\x01", CONTENT_TYPE, stored_ns=0, host="")
        self.assertEqual(str(caught.exception), "shape: batch: want 5 elements")
        self.assertIsInstance(caught.exception, ValueError)


if __name__ == "__main__":
    unittest.main()
