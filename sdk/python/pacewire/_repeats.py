"""What a reader has settled for good."""
from __future__ import annotations

from typing import Any

_REMEMBERED = 1024  # four times what may be given out and not settled
_WINDOW = 3600.0  # who gives it again later wants that: a full disk may keep acks from being written for long


class Repeats:
    """A stream that changes its leader may have lost an ack, and give a message again; who has given it out once need not do so twice."""

    def __init__(self) -> None:
        self._highest = 0  # sequence given out: below it a message may be a repeat
        self._ring: dict[int, tuple[int, int, float]] = {}  # by the sequence's remainder: sequence, time stored, time settled

    def first(self, delivery: Any) -> bool:
        """Whether it cannot be a repeat. It counts as given out from now on."""
        if delivery.stream_seq > self._highest:
            self._highest = delivery.stream_seq
            return True
        return False

    def note(self, delivery: Any, now: float) -> None:
        """Remembers that it is settled."""
        self._ring[delivery.stream_seq % _REMEMBERED] = (delivery.stream_seq, delivery.stored_ns, now)

    def settled(self, delivery: Any, now: float) -> bool:
        """Whether it was settled, and not one of its sequence in a stream that was made anew."""
        seq, stored, at = self._ring.get(delivery.stream_seq % _REMEMBERED, (0, 0, 0.0))
        return seq == delivery.stream_seq and stored == delivery.stored_ns and now - at < _WINDOW
