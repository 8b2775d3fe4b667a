import math
import unittest
from unittest import mock

from pacewire import _msgpack
from pacewire._msgpack import WireError, packb, unpackb

C_MODULE = _msgpack._c


class RoundTrip(unittest.TestCase):
    """What is packed is read as it was, with and without the C module."""

    def both(self, value):
        for module in {None, C_MODULE}:
            with mock.patch.object(_msgpack, "_c", module):
                yield packb(value)

    def test_values(self):
        for value in (None, True, False, 0.0, -0.5, 1e308, 5e-324, "", "é\U0001f600\0", "x" * 40, "x" * 300, "x" * 70_000, b"", b"\xff" * 300,
                      b"x" * 70_000, [], {}, [1, [2.5, {"a": [None, "b"]}]], {"a": {"b": {}}, "": 1}, list(range(20)), list(range(70_000)),
                      {str(i): i for i in range(20)}, {str(i): i for i in range(70_000)}):
            for packed in self.both(value):
                got = unpackb(packed, max_bytes=1 << 22, max_values=1 << 20)
                self.assertEqual(got, value)
                self.assertIs(type(got), type(value))

    def test_integers(self):
        edges = [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1,
                 -1, -32, -33, -0x80, -0x81, -0x8000, -0x8001, -2**31, -2**31 - 1, -2**63]
        sizes = [1, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9, 9, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9]
        for value, size in zip(edges, sizes):
            for packed in self.both(value):
                self.assertEqual(len(packed), size, value)
                self.assertEqual(unpackb(packed), value)
                self.assertIs(type(unpackb(packed)), int)

    def test_kin(self):
        """What packs as something else, and what packs not as it is."""
        for value, want in (((1, 2), [1, 2]), (bytearray(b"a"), b"a"), ("half \ud800 of a pair", "half \ufffd of a pair")):
            for packed in self.both(value):
                self.assertEqual(unpackb(packed), want)

    def test_refused(self):
        own: list = []
        own.append(own)
        for value, error in ((2**64, OverflowError), (-2**63 - 1, OverflowError), (object(), TypeError), ({1, 2}, TypeError), (own, ValueError)):
            for module in {None, C_MODULE}:
                with mock.patch.object(_msgpack, "_c", module), self.assertRaises(error):
                    packb(value)


class Guard(unittest.TestCase):
    def refused(self, body, code, **limits):
        with self.assertRaises(WireError) as caught:
            unpackb(bytes.fromhex(body), **limits)
        self.assertEqual(caught.exception.code, code, body)

    def test_codes(self):
        f = self.refused
        f("", "empty")
        f("c1", "syntax")
        f("c0c0", "trailing")
        f("a2ff61", "utf8")
        f("a261", "truncated")
        f("cb3ff0", "truncated")
        f("cd01", "truncated")
        f("d9", "truncated")
        f("92c0", "truncated")
        f("81a161", "truncated")
        f("8101c0", "shape")
        f("81c40161c0", "shape")
        f("cb7ff8000000000000", "nan")
        f("ca7f800000", "nan")
        f("cbfff0000000000000", "nan")
        f("d48001", "ext")
        f("d5ff0000", "ext")
        f("c70cfe" + "00" * 12, "ext")
        f("c70dff" + "00" * 13, "ext")
        f("d600" + "00" * 4, "ext")
        f("d6ff0000", "truncated")

    def test_limits(self):
        f = self.refused
        f("9191c0", "depth", max_depth=1)
        f("81a16191c0", "depth", max_depth=1)
        f("93c0c0c0", "limit", max_values=3)
        f("82a161c0a162c0", "limit", max_values=4)
        f("a461616161", "too_large", max_bytes=4)
        self.assertEqual(unpackb(b"\x91\x91\xc0", max_depth=2), [[None]])
        self.assertEqual(unpackb(b"\x93\xc0\xc0\xc0", max_values=4), [None] * 3)
        self.assertEqual(unpackb(b"\xa3aaa", max_bytes=4), "aaa")

    def test_wide_forms(self):
        """Whoever writes more bytes than he must is understood."""
        for body, want in (("cf0000000000000007", 7), ("d3ffffffffffffffff", -1), ("ca3fc00000", 1.5), ("db0000000161", "a"), ("c60000000161", b"a"),
                           ("dd00000001c3", [True]), ("df00000001a161c2", {"a": False}), ("82a16101a16102", {"a": 2})):
            self.assertEqual(unpackb(bytes.fromhex(body)), want)

    def test_timestamps(self):
        for body, want in (("d6ff691dc865", 1763559525 * 10**9), ("d7ffed7bc3d0691dc865", 1763559525996077812),
                           ("c70cff3b9ac9ffffffffffffffffff", -1)):
            self.assertEqual(unpackb(bytes.fromhex(body)), want)

    def test_any_bytes(self):
        self.assertEqual(unpackb(memoryview(b"\xa1a")), "a")
        self.assertTrue(math.isclose(unpackb(bytearray(b"\xca\x3d\xcc\xcc\xcd")), 0.1, rel_tol=1e-7))


if __name__ == "__main__":
    unittest.main()
