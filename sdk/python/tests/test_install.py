import ast
import base64
import csv
import hashlib
import importlib.util
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

import pacewire as pw
from bus import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "pacewire").iterdir() if p.suffix in (".py", ".typed"))


def backend():
    spec = importlib.util.spec_from_file_location("wheel_of_folder", ROOT / "build" / "wheel_of_folder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def version_found_in(self, path):
        """The version that a program finds whose only path to the library is this."""
        done = subprocess.run([sys.executable, "-S", "-c", "import pacewire; print(pacewire.__version__)"], cwd=self.dir, capture_output=True,
                              text=True, timeout=PATIENCE, env={**os.environ, "PYTHONPATH": str(path)})
        self.assertEqual(done.stderr, "")
        return done.stdout.strip()

    def test_wheel(self):
        path = pathlib.Path(self.dir, backend().build_wheel(self.dir))
        self.assertEqual(path.name, f"pacewire-{pw.__version__}-py3-none-any.whl")
        with zipfile.ZipFile(path) as wheel:
            info = f"pacewire-{pw.__version__}.dist-info"
            self.assertEqual(sorted(wheel.namelist()), sorted([*SOURCES, f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]))
            for name, digest, size in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode())):
                if digest:
                    data = wheel.read(name)
                    want = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                    self.assertEqual((digest, int(size)), (f"sha256={want}", len(data)))
            metadata = wheel.read(f"{info}/METADATA").decode()
        for line in ("Name: pacewire", f"Version: {pw.__version__}", "Requires-Python: >=3.9"):
            self.assertIn(line + "\n", metadata)
        self.assertEqual(self.version_found_in(path), pw.__version__)  # a wheel is a zip, and may be imported from

    def test_the_same_files_make_the_same_wheel(self):
        wheels = []
        for name in ("a", "b"):
            folder = pathlib.Path(self.dir, name)
            folder.mkdir()
            wheels.append((folder / backend().build_wheel(str(folder))).read_bytes())
        self.assertEqual(*wheels)

    def test_archive_of_the_sources(self):
        name = backend().build_sdist(self.dir)
        with tarfile.open(pathlib.Path(self.dir, name)) as archive:
            names = archive.getnames()
            archive.extractall(self.dir)  # our own
        top = pathlib.Path(self.dir, f"pacewire-{pw.__version__}")
        self.assertTrue({f"{top.name}/{n}" for n in [*SOURCES, "pyproject.toml", "README.md", "PKG-INFO", "build/wheel_of_folder.py"]} <= set(names))
        self.assertEqual(self.version_found_in(top), pw.__version__)

    def test_editable(self):
        with zipfile.ZipFile(pathlib.Path(self.dir, backend().build_editable(self.dir))) as wheel:
            self.assertEqual(wheel.read("_pacewire.pth").decode(), f"{ROOT}\n")

    def test_pip_without_a_network(self):
        if importlib.util.find_spec("pip") is None:
            self.skipTest("no pip here")
        into = pathlib.Path(self.dir, "site")
        command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-cache-dir", "--disable-pip-version-check", "--target", str(into), str(ROOT)]
        done = subprocess.run(command, cwd=self.dir, capture_output=True, text=True, timeout=5 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.version_found_in(into), pw.__version__)


class Package(unittest.TestCase):
    def test_all_that_is_promised_is_there_and_described(self):
        for name in pw.__all__:
            self.assertTrue(getattr(pw, name).__doc__, name)
        self.assertEqual(sorted(pw.__all__), pw.__all__)

    def test_it_is_python_3_9(self):
        for path in [*(ROOT / "pacewire").glob("*.py"), *(ROOT / "build").glob("*.py"), *(ROOT / "examples").glob("*.py")]:
            with self.subTest(path.name):
                tree = ast.parse(path.read_text(), feature_version=(3, 9))
                annotated = any(getattr(node, "annotation", None) or getattr(node, "returns", None) for node in ast.walk(tree))
                lazily = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
                self.assertTrue(lazily or not annotated, "from __future__ import annotations: those of today end Python 3.9")

    def test_it_needs_the_standard_library_alone(self):
        code = "import sys, pacewire; print(' '.join(sorted({m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names))))"
        if not hasattr(sys, "stdlib_module_names"):
            self.skipTest("Python 3.9 does not list its own modules")
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.assertLessEqual(set(done.stdout.split()), {"__main__", "pacewire", "msgpack"}, done.stderr)

    def test_examples_are_short(self):
        examples = sorted((ROOT / "examples").glob("*.py"))
        self.assertGreaterEqual(len(examples), 5)
        for path in examples:
            self.assertLess(len(path.read_text().splitlines()), 40, path.name)


if __name__ == "__main__":
    unittest.main()
