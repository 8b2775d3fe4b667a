"""What stands in docs/python.md and in the README is true: each sample runs."""
import pathlib
import re
import unittest
from unittest import mock

import pacewire as pw
from pacewire._config import RESERVED

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = (ROOT / "docs" / "python.md", ROOT / "sdk" / "python" / "README.md")


class Fan(pw.Collector):
    """The plugin that the sample of a unit test is about."""

    config = pw.ConfigPolicy(pw.IntegerRule("limit", default=9000))

    def collect(self, metrics):
        yield pw.point("fan", rpm=float(self.config.limit))


@unittest.skipUnless(PAGES[0].exists(), "the library stands alone here, without its pages")
class Samples(unittest.TestCase):
    def test_each_runs(self):
        blocks = [b for page in PAGES for b in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)]
        self.assertGreater(len(blocks), 5)
        ran = []
        with mock.patch.object(pw.Plugin, "run", lambda self, args=None: ran.append(self.kind)):
            for block in blocks:
                exec(compile(block, "sample", "exec"), {**self.known(), "app": pw.App("sample")})
        self.assertEqual(ran, ["collector"] * 3)

    def known(self):
        """What samples take as said before them."""
        import os
        import platform
        return {"pw": pw, "os": os, "platform": platform, "Fan": Fan}

    def test_columns(self):
        block = next(b for b in re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL) if "busy(batch)" in b)
        space = {"app": pw.App("busy")}
        exec(compile(block, "sample", "exec"), space)
        batch = pw.Batch("h")
        for usage in (90.0, 9.0):
            batch.add("cpu", {"usage": usage})
        self.assertEqual([(p.tags, p.fields) for p in space["busy"](batch).points()], [({"busy": "yes"}, {"usage": 90.0})])

    def test_every_name_is_told(self):
        text = PAGES[0].read_text(encoding="utf-8")
        self.assertEqual([name for name in pw.__all__ if not re.search(rf"\b{name}\b", text)], [])

    def test_names_that_mean_the_same_for_every_plugin(self):
        source = (ROOT / "agent" / "config" / "plugin.go")
        words = re.search(r'\n\t("use".*?)\n\}', source.read_text(encoding="utf-8"), re.DOTALL)
        self.assertEqual(set(re.findall(r'"([a-z0-9_]+)"', words[1])), RESERVED)


if __name__ == "__main__":
    unittest.main()
