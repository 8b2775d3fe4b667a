import json
import random
import tracemalloc
import unittest
from unittest import mock

from pacewire import BatchError
from pacewire import _msgpack
from pacewire._batch import CONTENT_TYPE, decode, frames
from pacewire._msgpack import WireError, packb, unpackb
from points import JSON, LINES, SCHEMAS, STORED, cpu, described

MUTATIONS = 4000
PEAK = 48 << 20  # bytes that no message of 1 MiB may take

PIECES = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8,
          b"\xd3\x80" + b"\0" * 7, b"\xcb\x7f\xf0" + b"\0" * 6, b"\xca\x7f\xc0\0\0", b"\xc0", b"\xc1", b"\xc3", b"\xc4\0", b"\xa0", b"\x90",
          b"\x80", b"\xd4\x80\1", b"null", b"true", b"1e999", b"-0", b"9007199254740993", b'"18446744073709551615"', b"18446744073709551616",
          b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\u0000", b"\\ud800", b"NaN", b"\xef\xbb\xbf", b"\n", b" ", b"\xff", b"i", b"u", b"=",
          b"\\", b"#", b"2025-11-19T13:38:45.5Z", b"\r\n", b"\x7f", b"\0"]


def mutated(chance, body):
    """body with a few bytes changed, left out, doubled, or replaced by what is likely to hurt."""
    out = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at, size = chance.randrange(len(out) + 1), chance.randrange(5)
        out[at:at + size] = chance.choice((chance.choice(PIECES), bytes([chance.randrange(256)]), out[at:at + 2 * size], b""))
    return bytes(out)


def seeds():
    """Valid and invalid messages with their types."""
    found = [(LINES, b'cpu,host=web-1,a\\ b=c usage=1.5,n=3i,u=7u,s="x y\\"z",b=true,c=F 1763559525997744692\n# c\nmem used=1\n')]
    for file in sorted((SCHEMAS / "batch").glob("*valid/*")):
        body = file.read_bytes()
        if 0 < len(body) < 1000:
            found.append((JSON if file.suffix == ".json" else CONTENT_TYPE, body))
    rows = [[i, "a", i / 2, i, i % 2 == 0, "t"] for i in range(40)]
    found.append((CONTENT_TYPE, packb([1, 1000, 0, {}, [["s", {}, ["k"], ["f", "i", "b", "s"], "fibs", rows]]])))
    found += [(CONTENT_TYPE, body) for body in frames(cpu(40))]
    return found


class Mutations(unittest.TestCase):
    def test_batches(self):
        """Whatever is done to a message, it is refused with a code, or what is read of it can be sent on."""
        codes = {}
        chance, valid = random.Random(1), seeds()
        for _ in range(MUTATIONS):
            content_type, body = chance.choice(valid)
            body = mutated(chance, body)
            with self.subTest(body=body, content_type=content_type):
                try:
                    batch, _ = decode(body, content_type, stored_ns=STORED, host="h")
                except BatchError as err:
                    codes[err.code] = codes.get(err.code, 0) + 1
                    continue
                again = [decode(frame, None, stored_ns=STORED, host="")[0] for frame in frames(batch)]
                self.assertEqual(sorted(line for b in again for line in described(b)), described(batch))
                self.assertEqual(batch.drops, {})
        self.assertGreater(len(codes), 8, codes)

    def test_control(self):
        chance = random.Random(2)
        valid = [file.read_bytes() for file in sorted((SCHEMAS / "control").glob("valid/*.msgpack"))]
        for _ in range(MUTATIONS):
            body = mutated(chance, chance.choice(valid))
            with self.subTest(body=body):
                try:
                    value = unpackb(body)
                except WireError as err:
                    self.assertTrue(err.code)
                    continue
                self.assertEqual(unpackb(packb(value)), value)

    @unittest.skipUnless(_msgpack._c, "the package msgpack is not installed: nothing to compare with")
    def test_with_and_without(self):
        """What the C module reads is what plain Python reads."""
        def outcome(body):
            try:
                batch, drops = decode(body, CONTENT_TYPE, stored_ns=STORED, host="")
            except BatchError as err:
                return err.code
            return described(batch), drops

        chance, valid = random.Random(3), [body for content_type, body in seeds() if content_type == CONTENT_TYPE]
        for _ in range(MUTATIONS):
            body = mutated(chance, chance.choice(valid))
            with self.subTest(body=body):
                quick = outcome(body)
                with mock.patch.object(_msgpack, "_c", None):
                    self.assertEqual(outcome(body), quick)


class Bombs(unittest.TestCase):
    """Few bytes that claim much, and many that hold little: refused, or read, within bounds of memory."""

    def peak(self, f):
        tracemalloc.start()
        try:
            f()
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return peak

    def refused(self, body, content_type, code):
        def f():
            with self.assertRaises(BatchError) as caught:
                decode(body, content_type, stored_ns=STORED, host="")
            self.assertEqual(caught.exception.code, code)

        self.assertLess(self.peak(f), PEAK)

    def test_msgpack(self):
        head = bytes.fromhex("9501010080")
        self.refused(b"\xdd\xff\xff\xff\xff", CONTENT_TYPE, "truncated")
        self.refused(head + b"\xdd\xff\xff\xff\xff", CONTENT_TYPE, "truncated")
        self.refused(head + b"\xdd\x00\x0f\xff\x00" + b"\0" * 0xFFF00, CONTENT_TYPE, "limit")
        self.refused(head + b"\x91" * 1_000_000, CONTENT_TYPE, "shape")
        self.refused(bytes.fromhex("95010100809196a174809091a178a168919200") + b"\x91" * 1_000_000, CONTENT_TYPE, "depth")
        self.refused(bytes.fromhex("95010100809196a174809091a178a1689192") + b"\0" + b"\x81\x00" * 100_000, CONTENT_TYPE, "depth")
        self.refused(head + b"\x91\x96\xdb\xff\xff\xff\xff", CONTENT_TYPE, "truncated")
        self.refused(bytes.fromhex("9501010080dc0400") + bytes.fromhex("96a1748090" "91a178a166" "93cd400000c0") * 1024, CONTENT_TYPE, "limit")

    def test_json(self):
        self.refused(b"[" * 1_000_000, JSON, "depth")
        self.refused(b'{"a":' * 200_000, JSON, "depth")
        self.refused(b'{"series":"a","fields":{"b":' + b"[" * 900_000, JSON, "depth")
        self.refused(b'[1,' + b"[" * 900_000, JSON, "depth")
        self.refused(b"[" + b"[]," * 100_000 + b"[]]", JSON, "shape")
        self.refused(b'{"series":"a","time":' + b"9" * 1_000_000 + b"x", JSON, "syntax")

    def test_digits(self):
        """Numbers of a million digits cost what their bytes do."""
        def f():
            batch, drops = decode(b'{"series":"a","time":"%s","fields":{"b":1}}' % (b"9" * 900_000), JSON, stored_ns=0, host="")
            self.assertEqual((len(batch), drops), (0, {"time_range": 1}))
            batch, drops = decode(b'{"series":"a","fields":{"b":%s}}' % (b"9" * 900_000), JSON, stored_ns=STORED, host="")
            self.assertEqual((len(batch), drops), (0, {"nan": 1, "no_fields": 1}))
            batch, drops = decode(b"a b=%si" % (b"9" * 900_000), LINES, stored_ns=STORED, host="")
            self.assertEqual((len(batch), drops), (0, {"int_range": 1, "no_fields": 1}))

        self.assertLess(self.peak(f), PEAK)

    def test_lines(self):
        def f(body, drops):
            def read():
                batch, found = decode(body, LINES, stored_ns=STORED, host="")
                self.assertEqual((len(batch), found), (0, drops))

            self.assertLess(self.peak(read), PEAK)

        f(b"a" * 1_000_000, {"line": 1})
        f(b"," * 1_000_000, {"line": 1})
        f(b"\\" * 1_000_000, {"line": 1})
        f(b'a b="' + b"\\" * 300_000, {"line": 1})
        f(b'a b="' + b"\\x" * 100_000, {"line": 1})
        f(b"\n" * 1_000_000, {})
        f(b"#" * 1_000_000, {})
        f(b"a,a=b" + b",a=b" * 40_000 + b" c=1", {"line": 1})
        f(b"a " + b"a=1," * 40_000, {"line": 1})
        f(b"a\n" * 40_000, {"line": 40_000})

    def test_largest(self):
        """The most that one message may hold."""
        body = json.dumps([1, 1, 0, {}, [["s", {}, [], ["f"], "f", [65535, 0, 1.5]]]]).encode()
        self.assertEqual(len(decode(body, JSON, stored_ns=STORED, host="")[0]), 65535)
        wide = packb([1, 1, 0, {}, [["s", {}, [], [f"f{i}" for i in range(4)], "ffff", [65535, 0, 1.5, 1.5, 1.5, 1.5]]]])
        self.assertLess(self.peak(lambda: decode(wide, CONTENT_TYPE, stored_ns=STORED, host="")), PEAK)

    def test_control(self):
        def f(body, code, **limits):
            with self.assertRaises(WireError) as caught:
                unpackb(body, **limits)
            self.assertEqual(caught.exception.code, code)

        f(b"\x91" * 1000, "depth")
        f(b"\xdd\xff\xff\xff\xff", "truncated")
        f(b"\xdf\x00\x00\x40\x00" + b"\0" * 40_000, "limit")
        f(b"\xdc\xff\xff" + b"\0" * 65535, "limit")
        f(b"\0" * 300_000, "too_large")
        f(b"\x93\0\0\0", "limit", max_values=3)


if __name__ == "__main__":
    unittest.main()
