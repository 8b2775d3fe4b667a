import contextlib
import io
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import unittest
from unittest import mock

import pacewire as pw
from bus import PATIENCE, BusCase
from pacewire._main import CONFIG, DONE, FAILED, NO_BUS, TRY_AGAIN, USAGE, main

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Fan(pw.Collector):
    """Speed of fans."""

    config = pw.ConfigPolicy(pw.IntegerRule("limit", default=9000, minimum=1, description="rpm that counts as full speed"),
                             pw.StringRule("password", secret=True), pw.StringRule("mode", enum=["a", "b"]))

    def update_catalog(self, config):
        yield pw.series("fan", "Speed of a fan.", tags={"slot": "which fan"}, fields={"rpm": "rpm"})

    def collect(self, metrics):
        yield pw.point("fan", {"slot": "a"}, rpm=900.0)
        if self.config.limit == 1:
            raise OSError("the fan has gone")


class Rack(pw.InfoPlugin):
    def collect(self):
        return {"units": 42}


class Clock(pw.StreamCollector):
    async def stream(self, metrics):
        yield pw.point("tick", n=1)


class Double(pw.Processor):
    def process(self, metrics, config):
        return [pw.Metric(m.namespace, m.data * 2, tags=m.tags) for m in metrics if isinstance(m.data, float)]


class Sink(pw.Publisher):
    config = pw.ConfigPolicy(pw.BoolRule("open", default=True))

    def start(self):
        self.file = open(os.path.join(self.dir, "points"), "w")
        if not self.config.open:
            raise pw.Denied("the door is shut: open it")

    def stop(self):
        self.file.close()

    def publish(self, metrics, config):
        raise AssertionError("diagnostics publish nothing")


class Pager(pw.Publisher):
    def publish_events(self, events, config):
        """Is not called here."""


class CommandLine(unittest.TestCase):
    def run_main(self, plugin, *args, given="", **env):
        """Runs main, and returns exit status, standard output and standard error."""
        out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PACEWIRE")}
        stdin = io.TextIOWrapper(io.BytesIO(given.encode()))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, "stdin", stdin), \
                mock.patch.dict(os.environ, {**clean, **env}, clear=True):
            code = main(plugin, args)
        logging.getLogger("pacewire.plugin").handlers.clear()
        return code, out.buffer.getvalue().decode(), err.getvalue()

    def test_diagnostics_of_each_kind(self):
        def f(plugin, kind, *want):
            code, out, err = self.run_main(plugin)
            self.assertEqual((code, err), (DONE, ""), out)
            for text in (f"x 1.0.0, a {kind}\n", "\nruntime\n  Python ", "\nsettings\n", "\nemits\n", "\nsample: ", "\ntimings\n", "\nnext\n", *want):
                self.assertIn(text, out)
            code, out, _ = self.run_main(plugin, "--json")
            report = json.loads(out)
            self.assertEqual((code, report["kind"], report["ok"], report["sample"]["error"]), (DONE, kind, True, ""))
            return report

        report = f(Fan("x", 1), "collector", "limit            integer  9000 at least 1\n      rpm that counts as full speed", "password         string   secret",
                   'of "a", "b"', "fan,slot=a rpm=900.0", "fields: rpm (rpm)", "one collection", "collect:\n      x:\n        run: python3")
        self.assertEqual(report["sample"]["points"][0]["fields"], {"rpm": 900.0})
        self.assertEqual(report["settings"]["limit"]["default"], 9000)
        report = f(Rack("x", 1), "collector of facts", "units: 42", "one collection of facts")
        self.assertEqual(report["sample"]["facts"], {"units": 42})
        f(Clock("x", 1), "stream collector", "tick n=1", "what came in 3 s")
        f(Double("x", 1), "processor", "usage=25.0", "what it makes of four made points", "from: all")
        f(Sink("x", 1), "publisher", "made ready and ended", "nothing was published", "publish:\n")
        f(Pager("x", 1), "publisher", "on: [down]")

    def test_a_sample_that_fails(self):
        code, out, _ = self.run_main(Fan("x"), "--config", '{"limit":1}')
        self.assertEqual(code, FAILED)
        self.assertIn("failed: the fan has gone", out)
        self.assertIn("fan,slot=a rpm=900.0", out)  # what came before
        code, out, _ = self.run_main(Sink("x"), "--config", '{"open":false}', "--json")
        self.assertEqual((code, json.loads(out)["sample"]["error"]), (FAILED, "the door is shut: open it"))

    def test_a_catalog_that_fails(self):
        class Odd(Fan):
            def update_catalog(self, config):
                return [3]

        code, out, _ = self.run_main(Odd("x"), "--json")
        self.assertEqual(code, FAILED)
        self.assertIn("the catalog has a int: want pw.Metric(...) without data, or pw.series(...)", json.loads(out)["sample"]["error"])
        code, _, err = self.run_main(Odd("x"), "--describe")
        self.assertEqual(code, FAILED)
        self.assertIn("x: the catalog cannot be told: the catalog has a int", err)

    def test_describe(self):
        code, out, _ = self.run_main(Fan("x", "1.2.3"), "--describe")
        manifest = json.loads(out)
        self.assertEqual((code, manifest["kind"], manifest["version"], manifest["summary"]), (DONE, "collector", "1.2.3", "Speed of fans."))
        self.assertEqual(manifest["catalog"], [
            {"series": "fan", "help": "Speed of a fan.", "tags": {"slot": "which fan"}, "fields": {"rpm": "rpm"}}])
        self.assertEqual(self.run_main(Fan("x", 2), "--version")[1], f"x 2.0.0 (pacewire {pw.__version__})\n")

    def test_once(self):
        code, out, err = self.run_main(Fan("x"), "--once", "--host", "web-1")
        point = json.loads(out)
        self.assertEqual((code, err, point["series"], point["tags"]), (DONE, "", "fan", {"slot": "a", "host": "web-1"}))
        self.assertEqual(self.run_main(Rack("x"), "--once")[1], '{"units": 42}\n')
        code, out, _ = self.run_main(Double("x"), "--once", given=out)
        self.assertEqual((code, json.loads(out)["fields"]), (DONE, {"rpm": 1800.0}))
        code, out, err = self.run_main(Fan("x"), "--once", "--config", '{"limit":1}')
        self.assertEqual((code, len(out.splitlines())), (FAILED, 1))
        self.assertIn("x: the fan has gone", err)

    def test_wrong_use(self):
        def f(code, want, *args, **env):
            got, out, err = self.run_main(Fan("x"), *args, **env)
            self.assertEqual((got, out), (code, ""), err)
            self.assertRegex(err, want)

        f(USAGE, "unrecognized arguments: --frob: see --help", "--frob")
        f(USAGE, "--describe and --once: give one of them", "--describe", "--once")
        f(USAGE, "want a --bus", "--creds", "x")
        f(USAGE, "--config is for --once", "--bus", "nats://127.0.0.1:1", "--config", "{}")
        f(USAGE, "write it like", "--bus", "nats://127.0.0.1:1", "--wait", "soon")
        f(CONFIG, "x: settings: limit is 0: want at least 1", "--config", '{"limit":0}')
        f(CONFIG, "is no JSON", "--once", "--config", "{")
        f(CONFIG, "no such setting: did you mean limit", "--config", '{"limits":1}')
        f(CONFIG, "settings: credentials /nowhere", "--bus", "nats://127.0.0.1:1", "--creds", "/nowhere")
        f(CONFIG, "settings: bus: .*want nats:// or tls://", "--bus", "http://127.0.0.1:1")
        f(CONFIG, "TLS of the bus", "--bus", "nats://127.0.0.1:1", PACEWIRE_BUS_CA="/nowhere")
        f(TRY_AGAIN, "x: no bus: .*127.0.0.1:1", "--bus", "nats://127.0.0.1:1", "--wait", "50ms")

    def test_the_root_logger_is_left_alone(self):
        root = logging.getLogger()
        before = (root.level, list(root.handlers))
        self.run_main(Fan("x"), "--verbose")
        self.assertEqual((root.level, list(root.handlers)), before)


class Processes(BusCase):
    """Programs as an agent, or a person, starts them."""

    def start(self, example, *args, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PACEWIRE")}
        process = subprocess.Popen([sys.executable, str(ROOT / "examples" / example), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**clean, "PYTHONPATH": str(ROOT), **env})
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.communicate(timeout=PATIENCE)

    async def serving(self, **more):
        env = {"PACEWIRE_BUS": self.bus.url, "PACEWIRE_PLUGIN": "fan", "PACEWIRE_HOST": "h1", "PACEWIRE_DIR": self.bus.dir, **more}
        watcher, beats = await self.client(), []
        watcher.subscribe("pw.hb.h1.fan.htb", lambda msg: beats.append(json.loads(msg.data)))
        process = self.start("fan.py", **env)
        await self.until("a heartbeat", lambda: beats)
        return process, beats

    async def test_a_signal_drains(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process, beats = await self.serving()
            process.send_signal(number)
            await self.until("the end", lambda: process.poll() is not None)
            self.assertEqual(process.returncode, 0)
            self.assertNotIn(b"Traceback", process.stderr.read())
            await self.until("goodbye", lambda: beats[-1].get("bye") == "shutdown")

    async def test_it_ends_with_its_agent(self):
        process, beats = await self.serving()
        process.stdin.close()
        await self.until("the end", lambda: process.poll() is not None)
        said = [json.loads(line) for line in process.stderr.read().splitlines()]
        self.assertIn(("WARN", "agent is gone", "fan"), [(s["level"], s["msg"], s["plugin"]) for s in said])
        self.assertEqual(process.returncode, 0)
        process.stdin = None

    async def test_a_call_that_does_not_come_back_does_not_keep_it(self):
        code = ("import pacewire as pw, threading\napp = pw.App('stuck')\n"
                "@app.collect\ndef stuck():\n    print('begun', flush=True)\n    threading.Event().wait()\napp.run(['--once'])\n")
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.addCleanup(self.end, process)
        process.stdout.readline()
        for _ in range(2):
            process.send_signal(signal.SIGTERM)  # the first drains, the second ends at once
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
        self.assertIsNotNone(process.wait(PATIENCE))

    async def test_a_reader_that_has_gone(self):
        process = self.start("fan.py", "--once")
        process.stdout.close()
        self.assertEqual((process.wait(PATIENCE), process.stderr.read()), (0, b""))
        process.stdout = None


if __name__ == "__main__":
    unittest.main()
