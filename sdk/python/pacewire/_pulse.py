"""When beats are due, and what a plugin learns from the answers. No I/O: the caller says what time it is."""
from __future__ import annotations

import hashlib
import random
import time
from typing import Any

FIRST_INTERVAL, LEAST_INTERVAL, MOST_INTERVAL = 10.0, 1.0, 3600.0
QUIET = 3  # intervals without an ACK after which nobody watches
SOONEST = 1.0  # seconds between a beat and one that tells something new
COME_BACK = 2.0  # the bus was away: within it one fresh beat, not all at once
_STEP = 0.5  # seconds by which wall and monotonic clock part when the wall clock is set
_SLEPT = 0.1  # seconds that count as sleep of the machine


class Stray(Exception):
    """The ACK answers another beat than the last, or comes from a watcher who has lost the say."""


class Refusal(Exception):
    """The watcher does not want this plugin."""


class Pulse:
    """What a plugin knows of itself and of who watches it. One beat is under way at a time: beat, then obey or missed."""

    def __init__(self, host: str, plugin: str, inst: str, least: float = LEAST_INTERVAL):
        self.host, self.plugin, self.inst, self.least = host, plugin, inst, least
        self.boot = _boot_id()
        self.interval = FIRST_INTERVAL
        self.begun = time.monotonic()
        self.seq = self.lost = self.missed_in_row = self.hellos = self.term = self.acked = 0
        self.server = self.held = ""
        self.heard = self.begun
        self.greeted = self.greeting = self.awaiting = False
        self.sent_wall, self.sent = 0, 0.0
        self.due = self.begun
        self.rounds: list[tuple[float, float | None]] = []  # round trip and clock offset, seconds
        self.resumed = self.telling = 0.0
        self._seen = _clocks()

    def wait(self, now: float) -> float:
        """Seconds until the next beat."""
        return max(self.due - now, 0.0)

    def hasten(self, at: float) -> None:
        """Something is new: a beat at this time, but not within a second of the last."""
        if self.seq:
            at = max(at, self.sent + SOONEST)
        self.due = min(self.due, at)

    def reconnected(self, now: float) -> None:
        """The bus is back."""
        if self.seq:
            self.due = min(self.due, now + random.uniform(0, COME_BACK))

    def greet_again(self, now: float) -> None:
        """The next beat is a hello, and due now."""
        self.greeted, self.due = False, now

    def beat(self, message: dict[str, Any], inventory: str) -> None:
        """Fills a heartbeat with all that is known here. It is sent now or never."""
        self._look()
        self.seq += 1
        now = time.monotonic()
        self.sent, self.sent_wall, self.awaiting, self.telling = now, time.time_ns(), True, self.resumed
        self.due = now + (_jittered(self.interval) if self.greeted else self._retry())
        self.greeting = not self.greeted
        message.update(
            v=1, host=self.host, plugin=self.plugin, inst=self.inst, seq=self.seq, int_ms=max(round(1000 * self.interval), 1),
            t1=self.sent_wall, mono1=round(1e9 * (now - self.begun)), up_ms=round(1000 * (now - self.begun)), inv=inventory,
            ack=self.acked, ack_lost=self.lost)
        optional = {"boot": self.boot, "hello": self.greeting, "resumed_ms": round(1000 * self.resumed)}
        if self.rounds:
            trip, offset = min(self.rounds, key=lambda r: r[0])
            optional.update(rtt_us=round(1e6 * trip), off_us=round(1e6 * (offset or 0)))
        message.update({k: v for k, v in optional.items() if v})

    def lists(self, inventory: str) -> bool:
        """Whether the list of the inventory goes with a beat: until the watcher holds what the digest stands for."""
        return not self.greeted or self.held != inventory

    def patience(self) -> float:
        """Seconds that an ACK may take."""
        return min(max(self.interval, LEAST_INTERVAL), 5.0)

    def obey(self, ack: dict[str, Any]) -> None:
        """Takes the ACK of the last beat. Raises Stray, or Refusal."""
        now, term = time.monotonic(), ack.get("term", 0)
        if not self.awaiting or ack["seq"] != self.seq:
            raise Stray(f"ack of {ack['srv']} answers {ack['seq']}, the last beat is {self.seq}")
        if term < self.term and now - self.heard < QUIET * self.interval:
            self.missed()
            raise Stray(f"ack of {ack['srv']} has term {term}: it has lost the say to term {self.term}")
        if ack["srv"] != self.server:
            self.rounds.clear()  # to another clock
        self._round(ack, now)
        self.server, self.term, self.heard, self.awaiting = ack["srv"], term, now, False
        self.acked, self.held = ack["seq"], ack.get("inv", "")
        self.missed_in_row = self.hellos = 0
        self.resumed -= self.telling
        accepted = ack["state"] == "accepted"
        first = accepted and not self.greeted
        self.greeted = accepted and (self.greeted or self.greeting)
        wanted = ack.get("next_ms", 0) / 1000 or self.interval
        wanted = min(max(wanted, self.least), MOST_INTERVAL)
        if first or wanted != self.interval:
            self.interval = wanted
            self.due = now + self._phase(now) if self.greeted else self.due
        if not accepted:
            raise Refusal(ack.get("reason", "") or "no reason was given")

    def missed(self) -> None:
        """The last beat has no ACK. It is not sent again: the next one says as much, and is fresh."""
        if not self.awaiting:
            return
        self.awaiting = False
        self.lost += 1
        self.missed_in_row += 1
        if not self.greeted:
            self.hellos += 1

    def alone(self) -> bool:
        """Whether nobody counts as watching, from this moment on."""
        return self.missed_in_row == QUIET

    def _retry(self) -> float:
        return _jittered(min(2.0 ** min(self.hellos, 20), self.interval))

    def _phase(self, now: float) -> float:
        """Seconds to this plugin's own place in the interval, so that many who begin at once are spread over it."""
        place = hashlib.sha256(f"{self.host}\0{self.plugin}".encode()).digest()[:4]
        part = int.from_bytes(place, "big") / 2**32 * self.interval
        wait = (part - (now - self.begun)) % self.interval
        return wait if wait > self.interval / 10 else wait + self.interval * 0.95

    def _round(self, ack: dict[str, Any], now: float) -> None:
        took, t2, t3 = now - self.sent, ack.get("t2", 0), ack.get("t3", 0)
        held = (t3 - t2) / 1e9
        if t2 <= 0 or not 0 <= held <= took:
            self.rounds.append((took, None))
        else:
            t4 = self.sent_wall + round(took * 1e9)
            self.rounds.append((took - held, ((t2 - self.sent_wall) + (t3 - t4)) / 2e9))
        del self.rounds[:-8]

    def _look(self) -> None:
        """Notes whether the machine has slept, or its clock was set."""
        was, self._seen = self._seen, _clocks()
        wall, mono, boot = (b - a for a, b in zip(was, self._seen))
        slept = boot - mono if boot - mono > _SLEPT else 0.0
        self.resumed += slept
        if abs(wall - mono - slept) > _STEP:
            self.rounds.clear()  # their offsets are of another clock


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.95, 1.05)


def _clocks() -> tuple[float, float, float]:
    mono = time.monotonic()
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time(), mono, time.clock_gettime(boot) if boot is not None else mono


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
