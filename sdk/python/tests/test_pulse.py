import time
import unittest
from unittest import mock

from pacewire._pulse import Pulse, Refusal, Stray


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Beats(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        patch = mock.patch.object(time, "monotonic", self.clock)
        patch.start()
        self.addCleanup(patch.stop)
        self.pulse = Pulse("h", "p", "i")

    def beat(self):
        message = {}
        self.pulse.beat(message, "d1")
        return message

    def ack(self, **more):
        self.pulse.obey({"v": 1, "srv": "s", "seq": self.pulse.seq, "state": "accepted", "term": 1, **more})

    def test_hello_until_answered(self):
        self.assertEqual(self.pulse.wait(self.clock.now), 0)
        waits = []
        for n in range(1, 7):
            message = self.beat()
            self.assertEqual((message["seq"], message.get("hello")), (n, True))
            waits.append(self.pulse.wait(self.clock.now))
            self.pulse.missed()
        for wait, want in zip(waits, (1, 2, 4, 8, 10, 10)):
            self.assertAlmostEqual(wait, want, delta=0.051 * want)
        self.beat()
        self.ack(next_ms=2000)
        self.assertNotIn("hello", self.beat())
        self.assertAlmostEqual(self.pulse.wait(self.clock.now), 2, delta=0.11)

    def test_who_is_obeyed(self):
        self.beat()
        self.ack(term=5, inv="d1")
        self.assertFalse(self.pulse.lists("d1"))
        self.assertTrue(self.pulse.lists("d2"))
        self.beat()
        with self.assertRaisesRegex(Stray, "lost the say to term 5"):
            self.ack(term=4)
        self.beat()
        with self.assertRaisesRegex(Stray, "answers 9"):
            self.pulse.obey({"v": 1, "srv": "s", "seq": 9, "state": "accepted"})
        self.clock.now += 3 * self.pulse.interval + 1  # nobody with the highest term has spoken for long
        self.beat()
        self.ack(term=4)
        self.assertEqual(self.pulse.term, 4)

    def test_refusal(self):
        self.beat()
        with self.assertRaisesRegex(Refusal, "config_invalid: limit"):
            self.ack(state="refused", reason="config_invalid: limit")
        self.assertEqual(self.beat()["ack"], 1)

    def test_alone_is_told_once(self):
        told = []
        for _ in range(6):
            self.beat()
            self.pulse.missed()
            told.append(self.pulse.alone())
        self.assertEqual(told, [False, False, True, False, False, False])
        self.assertEqual(self.beat()["ack_lost"], 6)

    def test_not_more_than_once_a_second(self):
        self.beat()
        self.ack()
        self.beat()
        self.pulse.hasten(self.clock.now)
        self.assertAlmostEqual(self.pulse.wait(self.clock.now), 1)
        self.pulse.greet_again(self.clock.now)
        self.assertEqual(self.pulse.wait(self.clock.now), 0)
        self.assertTrue(self.beat()["hello"])

    def test_after_the_bus_was_away(self):
        self.beat()
        self.ack()
        self.beat()
        self.pulse.reconnected(self.clock.now)
        self.assertLessEqual(self.pulse.wait(self.clock.now), 2)

    def test_round_trip_and_offset(self):
        self.beat()
        sent = self.pulse.sent_wall
        self.clock.now += 0.003
        self.ack(t2=sent + 1_001_000_000, t3=sent + 1_002_000_000)
        message = self.beat()
        self.assertAlmostEqual(message["rtt_us"], 2000, delta=2)
        self.assertAlmostEqual(message["off_us"], 1_000_000, delta=2)


if __name__ == "__main__":
    unittest.main()
