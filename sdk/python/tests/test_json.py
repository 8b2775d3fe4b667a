import json
import unittest

from pacewire import BatchError
from pacewire._json import parse_time
from points import AT, JSON, STORED, read


class Points(unittest.TestCase):
    """Point objects, beside the golden messages."""

    def one(self, fields, **more):
        """The only point of an object with these members, and what was left out."""
        batch = read(json.dumps({"series": "s", "time": AT, "fields": fields, **more}).encode(), JSON)
        points = list(batch.points())
        return (points[0] if points else None), batch.drops

    def refused(self, text, code):
        with self.assertRaises(BatchError) as caught:
            read(text if isinstance(text, bytes) else text.encode(), JSON)
        self.assertEqual(caught.exception.code, code, (text, str(caught.exception)))

    def test_values(self):
        def f(given, letter, value, types=None):
            point, drops = self.one({"v": given}, types=types)
            got = point.fields["v"]
            self.assertEqual((point.types["v"], got, type(got)), (letter, value, type(value)))
            self.assertEqual(drops, {})

        f(1, "f", 1.0)
        f(1.5, "f", 1.5)
        f(2**53 + 1, "f", float(2**53))
        f(True, "b", True)
        f("x", "s", "x")
        f(7, "i", 7, {"v": "i"})
        f(7.0, "i", 7, {"v": "i"})
        f("-9223372036854775808", "i", -2**63, {"v": "i"})
        f(2**64 - 1, "u", 2**64 - 1, {"v": "u"})
        f("007", "u", 7, {"v": "u"})
        f("é\n\0", "s", "é\n\0")

    def test_left_out(self):
        def f(given, code, types=None):
            point, drops = self.one({"v": given, "w": 1}, types=types)
            self.assertEqual((point.fields, drops), ({"w": 1.0}, {code: 1}))

        f([1], "type")
        f({"a": 1}, "type")
        f(1.5, "type", {"v": "i"})
        f("1.5", "type", {"v": "i"})
        f("1", "type", {"v": "f"})
        f(1, "type", {"v": "b"})
        f(2**63, "int_range", {"v": "i"})
        f(-1, "int_range", {"v": "u"})
        f("-0", "int_range", {"v": "u"})
        f(1, "unknown_type", {"v": "h"})
        f("x" * 65536, "too_long")

    def test_huge_numbers(self):
        batch = read(b'{"series":"s","fields":{"v":1e999,"w":-1e999,"x":%s,"y":1}}' % (b"9" * 400), JSON)
        self.assertEqual(([p.fields for p in batch.points()], batch.drops), ([{"y": 1.0}], {"nan": 3}))

    def test_tags(self):
        def f(tags, want):
            point, _ = self.one({"v": 1}, tags=tags)
            self.assertEqual(point and point.tags, want)

        f({"a": "x", "b": "", "c": None}, {"a": "x"})
        f({"a": True, "b": False}, {"a": "true", "b": "false"})
        f(None, {})
        f([], {})
        f({"a": [1]}, None)
        f({"a": "\n"}, None)
        f({"a": "x" * 1025}, None)
        batch = read(b'{"series":"s","tags":{"a":1.50,"b":-0,"c":1e3},"fields":{"v":1}}', JSON)
        self.assertEqual(next(batch.points()).tags, {"a": "1.50", "b": "-0", "c": "1e3"}, "numbers as they are written")

    def test_times(self):
        def f(text, want):
            self.assertEqual(parse_time(text), want)

        f("1970-01-01T00:00:00Z", 0)
        f("2025-11-19T13:38:45.997744Z", AT)
        f("2025-11-19T13:38:45.997744692Z", AT + 692)
        f("2025-11-19T15:08:45.9+01:30", AT - 97_744_000)
        f("1969-12-31T23:59:59.000000001-00:00", -10**9 + 1)
        f("2024-02-29T00:00:00Z", 1709164800 * 10**9)
        f("0000-01-01T00:00:00Z", -62167219200 * 10**9)
        for bad in ("", "now", "2025-11-19", "2025-11-19T13:38:45", "2025-11-19 13:38:45Z", "2025-13-19T13:38:45Z", "2025-02-29T13:38:45Z", "2025-11-19T24:00:00Z",
                    "2025-11-19T13:60:00Z", "2025-11-19T13:38:60Z", "2025-11-19T1:38:45Z", "2025-11-19T13:38:45.Z", "2025-11-19T13:38:45.1234567890Z",
                    "2025-11-19T13:38:45+24:00", "2025-11-19T13:38:45+01:60", "2025-11-19T13:38:45Z ", "٢٠٢٥-11-19T13:38:45Z"):
            with self.assertRaises(BatchError, msg=bad):
                parse_time(bad)

    def test_time_members(self):
        def f(time, want):
            batch = read(b'{"series":"s","time":%s,"fields":{"v":1}}' % time, JSON)
            self.assertEqual([p.time_ns for p in batch.points()], want)

        f(b"17", [17])
        f(b'"-17"', [-17])
        f(b"null", [STORED])
        f(b'"9223372036854775807"', [2**63 - 1])
        f(b'"9223372036854775808"', [])
        f(b'"9999-12-31T23:59:59Z"', [])
        for bad in (b"1.5", b"1e3", b"true", b"[]", b'""'):
            self.refused(b'{"series":"s","time":%s,"fields":{"v":1}}' % bad, "shape")

    def test_refused(self):
        f = self.refused
        f('{"series":7,"fields":{"v":1}}', "shape")
        f('{"series":"s","fields":[1]}', "shape")
        f('{"series":"s","fields":{"v":1},"types":{"v":"float"}}', "shape")
        f('{"series":"s","fields":{"v":1},"types":{"v":1}}', "shape")
        f('{"series":"s","fields":{"v":1},"tags":"a"}', "shape")
        f('{"series":"s","fields":{"":1}}', "name")
        f('{"series":"s","fields":{"v":1},"types":{"%s":"i"}}' % ("x" * 256), "name")
        f('{"series":"s","fields":{"v":1},"tags":{"a":1,"a":2}}', "duplicate_key")
        f(json.dumps({"series": "s", "fields": {f"f{i}": 1 for i in range(257)}}), "limit")
        f(json.dumps({"series": "s", "fields": {"v": 1}, "tags": {f"t{i}": 1 for i in range(65)}}), "limit")
        f('{"series":"s","fields":{"v":[[[[[1]]]]]}}', "depth")
        f("[[]]", "shape")
        f("[1,2]", "shape")
        f("{}", "shape")
        f('{"series":"s","fields":{"v":"\\udc00"}}', "utf8")
        f(b'{"series":"\xff","fields":{"v":1}}', "utf8")
        f(b'{"series":"s","fields":{"v":1}}\0', "trailing")

    def test_halves_that_are_whole(self):
        batch = read(b'{"series":"s","fields":{"v":"\\ud83d\\ude00"}}', JSON)
        self.assertEqual(next(batch.points()).fields, {"v": "\U0001f600"})

    def test_limits(self):
        """More points than a batch may have are refused, in whatever form."""
        point = b'{"series":"s","fields":{"v":1}}'
        self.refused(json.dumps([{"series": f"s{i}", "fields": {"v": 1}} for i in range(1025)]), "limit")
        self.assertEqual(len(read(b"[" + b",".join([point] * 1000) + b"]", JSON)), 1000)


class Arrays(unittest.TestCase):
    """The arrays of the wire, where they say what msgpack says by other means."""

    def test_decimals(self):
        text = b'[1,1,"1763559525997744692",{},[["s",{},[],["i","u"],"iu",[["-1","-9223372036854775808","18446744073709551615"],[1,2.0,3]]]]]'
        self.assertEqual([(p.time_ns, p.fields) for p in read(text, JSON).points()],
                         [(AT + 691, {"i": -2**63, "u": 2**64 - 1}), (AT + 693, {"i": 2, "u": 3})])

    def test_refused(self):
        for text, code in ((b'[1,1,"x",{},[]]', "shape"), (b"[1,1,0,{},[],0]", "shape"), (b"[1,1.0,0,{},[]]", "shape"), (b"[1.0,1,0,{},[]]", "shape"),
                           (b'[1,1,"9223372036854775808",{},[]]', "shape"), (b"[1,1,0,{},[]] 1", "trailing"), (b"[1,1,0,{},[]]]", "trailing")):
            with self.assertRaises(BatchError) as caught:
                read(text, JSON)
            self.assertEqual(caught.exception.code, code, text)


if __name__ == "__main__":
    unittest.main()
