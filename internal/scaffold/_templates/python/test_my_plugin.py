"""Checks that my-plugin keeps what every KIND promises; pacewire conform --list names it."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Conform(unittest.TestCase):
    def test_conform(self):
        pacewire = os.environ.get("PACEWIRE_BINARY", "pacewire")
        program = os.path.join(HERE, "my_plugin.py")
        done = subprocess.run([pacewire, "conform", "--kind", "KIND", "--", sys.executable, program],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
