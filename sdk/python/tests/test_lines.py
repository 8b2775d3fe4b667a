import unittest

from points import AT, LINES, STORED, read


class Lines(unittest.TestCase):
    """Line protocol. A line that cannot be read is left out, and the rest goes on."""

    def one(self, text, *want, **drops):
        """text has one point: series, tags, fields by name and letter, time."""
        batch = read(text.encode("utf-8", "surrogateescape"), LINES)
        batch.drops.pop("time_skew", None)
        got = [(p.series, p.tags, {(k, p.types[k]): v for k, v in p.fields.items()}, p.time_ns) for p in batch.points()]
        self.assertEqual(got, [want] if want else [], text)
        self.assertEqual(batch.drops, drops, text)

    def test_points(self):
        f, arrival = self.one, STORED
        f(f"load one=0.5 {AT}", "load", {}, {("one", "f"): 0.5}, AT)
        f("load one=0.5", "load", {}, {("one", "f"): 0.5}, arrival)
        f("load one=0.5\r\n", "load", {}, {("one", "f"): 0.5}, arrival)
        f("  load   one=0.5   17   \n", "load", {}, {("one", "f"): 0.5}, 17)
        f("\n# text\n\r\nload one=0.5 -17", "load", {}, {("one", "f"): 0.5}, -17)
        f("cpu,b=2,a=1 x=1i,y=2u", "cpu", {"a": "1", "b": "2"}, {("x", "i"): 1, ("y", "u"): 2}, arrival)

    def test_values(self):
        def f(text, letter, value):
            self.one("s v=" + text, "s", {}, {("v", letter): value}, STORED)

        f("1", "f", 1.0)
        f("-1.5e-3", "f", -0.0015)
        f("1.", "f", 1.0)
        f(".5", "f", 0.5)
        f("9223372036854775807i", "i", 2**63 - 1)
        f("-9223372036854775808i", "i", -2**63)
        f("-0i", "i", 0)
        f("18446744073709551615u", "u", 2**64 - 1)
        for word in ("t", "T", "true", "True", "TRUE"):
            f(word, "b", True)
        for word in ("f", "F", "false", "False", "FALSE"):
            f(word, "b", False)
        f('""', "s", "")
        f('"a b,c=d"', "s", "a b,c=d")
        f('"two\nlines"', "s", "two\nlines")
        f(r'"\"q\" \\ \n \r \t \x"', "s", '"q" \\ \n \r \t \\x')
        f('"é\U0001f600"', "s", "é\U0001f600")

    def test_escapes(self):
        f = self.one
        f(r"a\ b\,c,k\=1\,\ =v\=\,\  f\=\ \,=1", "a b,c", {"k=1, ": "v=, "}, {("f= ,", "f"): 1.0}, STORED)
        f(r"a\b=c,d\e=f\g h\i=1", "a\\b=c", {"d\\e": "f\\g"}, {("h\\i", "f"): 1.0}, STORED)
        f("a\\\\ v=1", line=1)

    def test_left_out(self):
        """Fields that are no values, and the points that have no other."""
        def f(value, **drops):
            self.one(f"s v={value},w=1", "s", {}, {("w", "f"): 1.0}, STORED, **drops)
            self.one(f"s v={value}", no_fields=1, **drops)

        f("nan", nan=1)
        f("-Inf", nan=1)
        f("Infinity", nan=1)
        f("1e999", nan=1)
        f("9223372036854775808i", int_range=1)
        f("-1u", int_range=1)
        f("18446744073709551616u", int_range=1)
        f('"' + "x" * 65536 + '"', too_long=1)

    def test_faults(self):
        for text in ("s", "s v", "s v=", "s =1", "s v=1,", "s v=one", "s v=0x1", "s v=1_0", 's v="x"y', "s v=1 now", "s v=1 1 1", "s v=1 1.5",
                     ",a=b v=1", "s,a v=1", "s,a= v=1", "s,=b v=1", "s,a=b,a=c v=1", "s v=1,v=2", "s\tv=1", "s v=1\t", "s,a=\x7f v=1", "s v=i",
                     "s v=--1i", "s v=1e", "s v=.", "x" * 256 + " v=1", "s,a=" + "x" * 1025 + " v=1", "s \udcff=1", 's v="\udcff"', "\udcff v=1",
                     "s," + ",".join(f"t{i}=x" for i in range(65)) + " v=1", "s " + ",".join(f"f{i}=1" for i in range(257))):
            self.one(text, line=1)
            self.one(f"{text}\nload one=1 17", "load", {}, {("one", "f"): 1.0}, 17, line=1)
        self.one('s v="open\nload one=1 17', "load", {}, {("one", "f"): 1.0}, 17, line=1)
        self.one("s v=1 9223372036854775808", time_range=1)
        self.one("s v=1 " + "9" * 5000, time_range=1)

    def test_limits(self):
        self.one("x" * 255 + " v=1", "x" * 255, {}, {("v", "f"): 1.0}, STORED)
        self.one("s,a=" + "\\ " * 1024 + " v=1", "s", {"a": " " * 1024}, {("v", "f"): 1.0}, STORED)
        self.one("s " + ",".join(f"f{i}=1" for i in range(256)), "s", {}, {(f"f{i}", "f"): 1.0 for i in range(256)}, STORED)
        self.one("s v=" + '"' + "x" * 65535 + '"', "s", {}, {("v", "s"): "x" * 65535}, STORED)

    def test_types_apart(self):
        """Lines of one series whose fields differ in type are points as they are."""
        batch = read(b"s v=1 1\ns v=1i 2\ns v=1u 3\ns v=t 4\ns v=\"1\" 5\ns,a=b v=2 6\n", LINES)
        self.assertEqual([(p.time_ns, p.types["v"]) for p in batch.points()], [(1, "f"), (2, "i"), (3, "u"), (4, "b"), (5, "s"), (6, "f")])


if __name__ == "__main__":
    unittest.main()
