"""How publishing does while nobody answers for a stream."""
from __future__ import annotations

import random

SILENT = 2.5  # seconds without any answer: a server that is busy answers now and then
_CALM = 0.5  # who was silent may have much to say: what it has answered need not be sent again
_FIRST, _MOST = 0.25, 1.0


class Trouble:
    """The oldest message to the stream asks now and then. All others wait for its answer, and then go in their order; what of them
    was sent already, nobody may have taken."""

    __slots__ = ("on", "silent", "tries", "next", "heard", "passed")

    def __init__(self) -> None:
        self.on = False
        self.silent = False  # nobody says anything; else that nobody is there
        self.tries = 0
        self.next = 0.0  # when the oldest message asks
        self.heard = 0.0  # last answer
        self.passed = 0.0  # answers come in order: what was sent before and has none is lost

    def begin(self, silent: bool, now: float) -> None:
        self.on, self.silent, self.tries, self.next = True, silent, 0, now

    def again(self, now: float) -> None:
        """Says when the oldest message asks the next time."""
        self.next = now + min(_FIRST * 2 ** min(self.tries, 16), _MOST) * random.uniform(0.75, 1.0)
        self.tries += 1

    @property
    def calm(self) -> float:
        """How long the others wait when it is over."""
        return _CALM if self.silent else 0.0

    def answered(self, sends: int, sent: float, now: float) -> None:
        self.on, self.heard = False, now
        if sends == 1:
            self.passed = max(self.passed, sent)

    def is_silent(self, since: float, now: float) -> bool:
        """Whether a message that has waited since then waits for somebody who says nothing."""
        return now - since >= SILENT and now - self.heard >= SILENT

    def overtaken(self, sent: float, now: float) -> bool:
        """Whether a later message was answered, and the answer to this one has had time enough."""
        return sent < self.passed and now - sent >= SILENT
