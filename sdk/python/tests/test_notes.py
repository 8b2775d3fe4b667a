"""What a plugin remembers and says: counters, suspects, keys of letters, logs, and what errors are called."""
import asyncio
import json
import logging
import os
import tempfile
import time
import types
import unittest
from unittest import mock

import pacewire as pw
from pacewire._clock import rfc3339
from pacewire._counters import Counters
from pacewire._errors import class_of, fault_code, pause, text_of
from pacewire._log import _Json, _Text, new_log
from pacewire._suspects import LetterKey, Suspects


class Counts(unittest.TestCase):
    def test_stats_and_faults(self):
        count = Counters()
        self.assertEqual((count.stats(), count.fault(), count.flags()), ({}, None, []))
        count.n["ticks"] += 2
        for seconds in (0.001, 0.002, 0.003):
            count.called(seconds)
        count.fail("timeout", TimeoutError("10 s"))
        count.drop("nan", 3)
        count.drop("nan", 0)
        stats = count.stats()
        self.assertEqual((stats["ticks"], stats["calls"], stats["call_p50_us"], stats["call_max_us"]), (2, 3, 2000, 3000))
        self.assertEqual((stats["errors"], stats["dropped"]), ({"timeout": 1}, {"nan": 3}))
        self.assertEqual((count.fault()["code"], count.fault()["message"]), ("timeout", "10 s"))

    def test_a_loss_shows_for_a_minute(self):
        now, changed = [1000.0], []
        with mock.patch.object(time, "monotonic", lambda: now[0]):
            count = Counters()
            count.changed = lambda: changed.append(count.flags())
            count.drop("overflow", 1)
            count.drop("overflow", 1)
            count.hold("storage_full", True)
            self.assertEqual(changed, [["overflow"], ["overflow", "storage_full"]])
            now[0] += 61
            self.assertEqual(count.flags(), ["storage_full"])
            count.hold("storage_full", False)
            self.assertEqual(count.flags(), [])


class Errors(unittest.TestCase):
    def test_names(self):
        def f(err, counted, code):
            self.assertEqual((class_of(err), fault_code(err)), (counted, code))

        f(pw.Denied("x"), "denied", "denied")
        f(pw.Permanent("x"), "permanent", "invalid")
        f(pw.TooLarge(), "too_large", "internal")
        f(asyncio.TimeoutError(), "timeout", "timeout")
        f(TimeoutError(), "timeout", "timeout")
        f(pw.ConfigError(["x"]), "config_invalid", "internal")
        f(PermissionError(), "error", "denied")
        f(OSError(), "error", "internal")

    def test_texts(self):
        self.assertEqual(text_of(OSError("a\n\n  b ")), "a; b")
        self.assertEqual(text_of(KeyError("slot")), "KeyError: 'slot'")
        self.assertEqual(text_of(AssertionError()), "AssertionError")
        self.assertEqual(len(text_of(OSError("x" * 999))), 203)
        self.assertEqual(text_of(OSError("\udcff")), "?")

    def test_pauses(self):
        self.assertEqual([pause(OSError(), n, 1.0) for n in (1, 2, 3, 7, 99)], [1, 2, 4, 60, 60])
        self.assertEqual([pause(pw.Denied(), n, 1.0) for n in (1, 2, 99)], [30, 60, 300])
        self.assertEqual((pause(OSError(), 1, 0.0), pause(pw.After("x", 7), 9, 0.3)), (0.5, 7))


class Suspicion(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = os.path.join(folder.name, "new")

    def test_deaths_are_counted_over_processes(self):
        for deaths in range(3):
            suspects = Suspects(self.dir)  # each a process
            self.assertEqual(suspects.deaths("METRICS/7"), deaths)
            suspects.begin("METRICS/7")
            suspects.begin("METRICS/8")
            suspects.end("METRICS/8")
        suspects = Suspects(self.dir)
        self.assertEqual((suspects.deaths("METRICS/7"), suspects.deaths("METRICS/8")), (3, 0))
        suspects.end("METRICS/7")
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_torn_note_is_none(self):
        os.makedirs(self.dir)
        for text in ("", "{", "[]", '{"deaths":3}', '{"deaths":{"a":"b"},"in_hand":[]}'):
            with open(os.path.join(self.dir, "suspects.json"), "w") as file:
                file.write(text)
            self.assertEqual(Suspects(self.dir).deaths("a"), 0)
        nowhere = Suspects("")
        nowhere.begin("a")
        nowhere.end("a")

    def test_a_letter_has_the_same_id_from_each_process(self):
        delivery = types.SimpleNamespace(stream_seq=7, subject="pw.metrics.h.p", stored_ns=1)

        def f(folder, body=b"x", part=0):
            return LetterKey(folder).id("p", "p", delivery, body, part)

        first = f(self.dir)
        self.assertEqual(first, f(self.dir))
        self.assertTrue(first.startswith("dead/p/7/"))
        self.assertTrue(f(self.dir, part=2).startswith("dead/p/7/2/"))
        self.assertEqual(len({first, f(self.dir, b"y"), f(self.dir, part=2), f(""), f("")}), 5)  # nobody guesses one without a key
        self.assertEqual(os.stat(os.path.join(self.dir, "letters.key")).st_mode & 0o777, 0o600)


class Logs(unittest.TestCase):
    def record(self, level, message, error=None, **more):
        record = logging.LogRecord("x", level, "f.py", 1, message, (), (type(error), error, None) if error else None)
        vars(record).update(more)
        return record

    def test_json_for_an_agent(self):
        said = json.loads(_Json("h", "p").format(self.record(logging.WARNING, "queue full", OSError("x"), bytes=3, at=object)))
        self.assertEqual((said["level"], said["msg"], said["host"], said["plugin"], said["bytes"]), ("WARN", "queue full", "h", "p", 3))
        self.assertIn("OSError: x", said["stack"])
        self.assertRegex(said["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(json.loads(_Json("h", "p").format(self.record(logging.CRITICAL, "x")))["level"], "ERROR")

    def test_text_for_people(self):
        text = _Text().format(self.record(logging.INFO, "listening", port=53, name2="a b"))
        self.assertRegex(text, r"^\d\d:\d\d:\d\d INFO listening port=53 name2='a b'$")

    def test_levels(self):
        log = new_log("warning", "h", "p")
        self.addCleanup(log.handlers.clear)
        self.assertEqual((log.level, log.propagate, len(log.handlers)), (logging.WARNING, False, 1))
        self.assertEqual(len(new_log("debug", "h", "p").handlers), 1)

    def test_times(self):
        for ns, want in ((0, "1970-01-01T00:00:00Z"), (1_500_000_000, "1970-01-01T00:00:01.5Z"), (10**18 + 1, "2001-09-09T01:46:40.000000001Z")):
            self.assertEqual(rfc3339(ns), want)


if __name__ == "__main__":
    unittest.main()
