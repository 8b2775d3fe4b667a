"""What an author is told who runs a plugin with a mistake in it."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest

LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLUGIN = """
import pacewire as pw
app = pw.App("fan", "1.0.0", config=[pw.StringRule("path", default="/tmp")])
@app.collect(every="{every}")
def fan(config):
    {body}
app.run()
"""


class Mistakes(unittest.TestCase):
    def said(self, body: str, *args: str, every: str = "10s") -> str:
        """What a collector with this body says on both streams when it is run alone."""
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "fan.py")
            with open(file, "w") as f:
                f.write(PLUGIN.format(body=body, every=every))
            done = subprocess.run([sys.executable, file, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  universal_newlines=True, timeout=120, env={**os.environ, "PYTHONPATH": LIBRARY})
        return done.stdout

    def test_traceback_begins_in_the_plugin(self) -> None:
        said = self.said("raise RuntimeError('it burns')")
        self.assertIn("RuntimeError: it burns", said)
        self.assertIn("fan.py\", line 6, in fan", said)
        self.assertNotIn("_crew.py", said)

    def test_traceback_of_the_library_alone_stays_whole(self) -> None:
        said = self.said("return 42")
        self.assertIn("int is no metric: want pw.Metric(...), pw.point(...)", said)
        self.assertIn("_gather.py", said)

    def test_left_out(self) -> None:
        self.assertIn("a value is no number, text or boolean", self.said("yield pw.point('fan', rpm=[1, 2])"))
        self.assertIn("a value is no finite number", self.said("yield pw.point('fan', rpm=float('nan'), on=True)", "--once"))

    def test_interval(self) -> None:
        self.assertIn("'10 secs' is no length of time", self.said("yield", every="10 secs"))

    def test_setting(self) -> None:
        self.assertIn("did you mean path?", self.said("yield", "--config", '{"pth": "/tmp"}'))
        self.assertIn("there is no setting 'pth'", self.said("yield pw.point('fan', n=config.pth)"))


if __name__ == "__main__":
    unittest.main()
