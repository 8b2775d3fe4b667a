import json
import math
import unittest

from pacewire import Batch
from pacewire._slice import cut, default_tag, names_of
from points import AT, JSON, cpu, described, read, sent


def forms(n=4):
    """A group of n points (4 at most) with a column of each form."""
    def values(*all_of):
        return list(all_of[:n])

    row = ["s", {"dc": "eu"}, ["dict", "cells", "const"], ["f", "i", "b", "text", "word", "same", "none"], "fibssuf",
           [n, values(0, 1, 2, 3), [["x", "y"], values(0, 1, 1, 0)], values("p", "", "q", "r"), "c",
            values(0.5, 1.5, 2.5, 3.5), values(-1, None, 300, 4), values(True, False, True, True), [["S", "R"], values(1, 0, 0, 1)],
            values("one", "two", None, "four"), 7, None]]
    return read(json.dumps([1, 1000, AT // 1000, {}, [row]]).encode(), JSON)


class Columns(unittest.TestCase):
    def test_what_it_says(self):
        (group,) = forms().groups
        self.assertEqual((group.series, len(group), group.tags, group.tag_keys), ("s", 4, {"dc": "eu"}, ["dict", "cells", "const"]))
        self.assertEqual((group.fields, group.types), (["f", "i", "b", "text", "word", "same", "none"], "fibssuf"))
        self.assertEqual(group.times, [AT, AT + 1000, AT + 2000, AT + 3000])
        self.assertEqual(group.column("i"), [-1, None, 300, 4])
        self.assertEqual(group.column("text"), ["R", "S", "S", "R"])
        self.assertEqual(group.column("same"), [7] * 4)
        self.assertEqual(group.column("none"), [None] * 4)
        self.assertEqual(group.tag("dict"), ["x", "y", "y", "x"])
        self.assertEqual(group.tag("cells"), ["p", "", "q", "r"])
        self.assertEqual(group.tag("dc"), ["eu"] * 4)
        self.assertEqual(group.tag("rack"), [""] * 4)
        with self.assertRaises(KeyError):
            group.column("f2")

    def test_nearer_wins(self):
        (group,) = forms().groups
        group.tags["cells"] = "outer"
        self.assertEqual(group.tag("cells"), ["p", "outer", "q", "r"])
        self.assertEqual([p.tags["cells"] for p in group.points()], ["p", "outer", "q", "r"])

    def test_rows(self):
        def f(do, want):
            batch, all_of = forms(), [described_point(p) for p in forms().points()]
            do(batch.groups[0])
            self.assertEqual([described_point(p) for p in batch.points()], [all_of[i] for i in want])
            self.assertEqual(described(sent(batch)), described(batch))

        f(lambda g: g.select([0, 1, 2, 3]), [0, 1, 2, 3])
        f(lambda g: g.select(range(4)), [0, 1, 2, 3])
        f(lambda g: g.select(range(1, 3)), [1, 2])
        f(lambda g: g.select(range(0, 4, 2)), [0, 2])
        f(lambda g: g.select([3, 1]), [3, 1])
        f(lambda g: g.select((2, 2)), [2, 2])
        f(lambda g: g.select(i for i in (1,)), [1])
        f(lambda g: g.select([]), [])
        f(lambda g: g.keep([1, 0, 0, True]), [0, 3])
        f(lambda g: g.keep(t == "y" for t in g.tag("dict")), [1, 2])
        f(lambda g: g.keep([False] * 4), [])
        f(lambda g: g.keep([True] * 4), [0, 1, 2, 3])
        with self.assertRaisesRegex(ValueError, "a mask of 3 values for 4 points"):
            forms().groups[0].keep([True] * 3)

    def test_part(self):
        (group,) = forms().groups
        part = group.part(range(1, 3))
        part.tags["x"] = "y"
        part.set_field("f", 0.0)
        self.assertEqual((len(part), len(group), group.tags, group.column("f")), (2, 4, {"dc": "eu"}, [0.5, 1.5, 2.5, 3.5]))

    def test_tags(self):
        def f(do, key, want):
            batch = forms()
            do(batch.groups[0])
            self.assertEqual(batch.groups[0].tag(key), want)
            self.assertEqual([p.tags.get(key, "") for p in sent(batch).points()], want)

        f(lambda g: g.set_tag("dc", "us"), "dc", ["us"] * 4)
        f(lambda g: g.set_tag("cells", "us"), "cells", ["us"] * 4)
        f(lambda g: g.set_tag("dc", ["a", "b", "", "d"]), "dc", ["a", "b", "", "d"])
        f(lambda g: g.set_tag("dc", ""), "dc", [""] * 4)
        f(lambda g: g.drop_tag("dict"), "dict", [""] * 4)
        f(lambda g: g.drop_tag("rack"), "rack", [""] * 4)
        f(lambda g: g.rename_tag("dict", "dc"), "dc", ["x", "y", "y", "x"])
        f(lambda g: g.rename_tag("dc", "zone"), "zone", ["eu"] * 4)
        f(lambda g: g.rename_tag("dc", "zone"), "dc", [""] * 4)
        f(lambda g: g.rename_tag("rack", "dc"), "dc", ["eu"] * 4)
        f(lambda g: g.rename_tag("dc", "dc"), "dc", ["eu"] * 4)
        with self.assertRaisesRegex(ValueError, "2 values for 4 points"):
            forms().groups[0].set_tag("dc", ["a", "b"])

    def test_fields(self):
        def f(do, name, want, letter):
            batch = forms()
            do(batch.groups[0])
            got = list(sent(batch).points())
            self.assertEqual([p.fields.get(name) for p in got], want)
            self.assertEqual({p.types[name] for p in got if name in p.fields}, set(letter))

        f(lambda g: g.set_field("new", [1, 2, None, 4]), "new", [1, 2, None, 4], "i")
        f(lambda g: g.set_field("new", [1, 2.5, 3, 4]), "new", [1.0, 2.5, 3.0, 4.0], "f")
        f(lambda g: g.set_field("new", [1, 2, 3, 4], "u"), "new", [1, 2, 3, 4], "u")
        f(lambda g: g.set_field("new", "x"), "new", ["x"] * 4, "s")
        f(lambda g: g.set_field("new", False), "new", [False] * 4, "b")
        f(lambda g: g.set_field("new", 2**63, "u"), "new", [2**63] * 4, "u")
        f(lambda g: g.set_field("new", [0.5, math.nan, math.inf, 1.5]), "new", [0.5, None, None, 1.5], "f")
        f(lambda g: g.set_field("f", "was a float"), "f", ["was a float"] * 4, "s")
        f(lambda g: g.drop_field("f"), "f", [None] * 4, "")
        f(lambda g: g.rename_field("f", "i"), "i", [0.5, 1.5, 2.5, 3.5], "f")
        f(lambda g: g.rename_field("nothing", "i"), "i", [-1, None, 300, 4], "i")
        with self.assertRaisesRegex(ValueError, "3 values for 4 points"):
            forms().groups[0].set_field("new", [1, 2, 3])
        with self.assertRaisesRegex(ValueError, "type 'h'"):
            forms().groups[0].set_field("new", 1, "h")
        with self.assertRaisesRegex(TypeError, "int, str"):
            forms().groups[0].set_field("new", [1, "x", 3, 4])

    def test_all_gone(self):
        """Points without a field are not sent, and counted."""
        batch = cpu()
        for name in batch.groups[0].fields:
            batch.groups[0].drop_field(name)
        self.assertEqual((len(sent(batch)), batch.drops), (0, {"no_fields": 3}))

    def test_empty(self):
        batch = forms()
        batch.groups[0].select([])
        batch.groups[0].set_field("f", [])
        batch.groups[0].set_tag("dc", [])
        self.assertEqual((len(batch), len(sent(batch)), batch.drops), (0, 0, {}))

    def test_other_batches(self):
        """Groups may be taken from one batch into another, cleaned of names no reader takes."""
        batch = Batch(groups=forms().groups)
        (group,) = batch.groups
        group.series = "a\nb"
        group.rename_field("f", "")
        group.rename_tag("dict", "k" * 300)
        (got,) = sent(batch).groups
        self.assertEqual((got.series, got.fields[0], got.tag_keys[-1]), ("a b", "_", "k" * 255))
        self.assertEqual(group.series, "a\nb", "the batch itself stays as it is")


class Slices(unittest.TestCase):
    def test_cut(self):
        for first, last in ((0, 7), (2, 5), (0, 3), (3, 7), (6, 7), (4, 4)):
            batch = Batch(groups=[*cpu(3).groups, *forms().groups])
            want = [described_point(p) for p in batch.points()][first:last]
            self.assertEqual([described_point(p) for p in cut(batch, first, last).points()], want)

    def test_default_tag(self):
        batch = Batch(groups=[*cpu(1).groups, *forms().groups])
        default_tag(batch, "dc", "default")
        default_tag(batch, "rack", "r1")
        self.assertEqual([(p.tags["dc"], p.tags["rack"]) for p in batch.points()], [("eu", "r1")] * 5)

    def test_names(self):
        self.assertEqual(list(names_of(cpu(2).groups[0])), [(("cpu", "cpu0"), ("dc", "eu")), (("cpu", "cpu1"), ("dc", "eu"))])


def described_point(p):
    return p.series, p.time_ns, p.tags, p.fields


if __name__ == "__main__":
    unittest.main()
