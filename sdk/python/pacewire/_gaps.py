"""Batches that their sources sent and the stream dropped before this reader had them."""
from __future__ import annotations

import re
from typing import Any

_MOST = 1 << 16  # sources; then all are forgotten: no loss is seen for one round
_OTHER = re.compile(r"~other[0-9a-f]{16}\Z")


class Gaps:
    """Sources number their batches without holes (ids <host>/<plugin>/<boot>/<number>), so a hole in what arrives is a loss, unless
    another process of the same consumer got it, which the consumer's own count of deliveries shows."""

    def __init__(self) -> None:
        self.lost = 0
        self._sources: dict[str, tuple[int, int, int]] = {}  # highest number, missing below it, epoch
        self._last = self._epoch = 0  # consumer sequence of the last delivery; counts deliveries that went elsewhere

    def see(self, delivery: Any) -> None:
        """Takes a delivery into account."""
        self._epoch += delivery.consumer_seq != self._last + 1
        self._last = delivery.consumer_seq
        stem, _, number = _OTHER.sub("", delivery.id).rpartition("/")
        if not stem or not number.isascii() or not number.isdigit() or len(number) > 20 or delivery.deliveries > 1:
            return
        seq = int(number)
        last, missing, epoch = self._sources.get(stem, (0, 0, 0))
        if stem not in self._sources and len(self._sources) >= _MOST:
            self._sources.clear()
        if epoch != self._epoch:
            last, missing = max(last, seq), 0
        elif seq > last:
            missing += seq - last - 1
            self.lost += seq - last - 1
            last = seq
        elif missing > 0:  # late, not lost
            missing -= 1
            self.lost -= 1
        self._sources[stem] = (last, missing, self._epoch)
