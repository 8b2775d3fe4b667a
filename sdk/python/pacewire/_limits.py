"""What a plugin may send at most: points a second, and series at a time."""
from __future__ import annotations

import time
from typing import Any

from ._batch import Batch
from ._slice import cut, names_of

_FORGET = 3600.0  # seconds without a point after which a series is forgotten
_LOOK = 10.0  # seconds between two looks for such series: a flood asks at each point


class Limits:
    """Drops what is above the bounds, and says how much. A change of config forgets nothing."""

    def __init__(self) -> None:
        self.rate = self.series = 0
        self._left, self._at = 0.0, time.monotonic()
        self._known: dict[Any, float] = {}
        self._look = 0.0

    def set(self, rate: int, series: int) -> None:
        """Sets the bounds; 0: none."""
        if rate != self.rate:
            self.rate, self._left, self._at = rate, float(rate), time.monotonic()
        self.series = series
        if not series:
            self._known.clear()

    def apply(self, batch: Batch, host: str) -> dict[str, int]:
        """Takes from a batch what is too much, and returns how many points by reason."""
        dropped = {}
        if self.rate:
            dropped["dropped_flood"] = self._slow(batch)
        if self.series:
            dropped["series_limit"] = self._census(batch, host)
        return dropped

    def _slow(self, batch: Batch) -> int:
        now = time.monotonic()
        self._left, self._at = min(self._left + (now - self._at) * self.rate, self.rate), now
        size = len(batch)
        passed = min(size, int(self._left))
        self._left -= passed
        if passed < size:
            cut(batch, 0, passed)
        return size - passed

    def _census(self, batch: Batch, host: str) -> int:
        now, dropped = time.monotonic(), 0
        for group in list(batch.groups):
            rows = []
            for row, tags in enumerate(names_of(group)):
                name = (host, group.series, tags)
                if name not in self._known and len(self._known) >= self.series and not self._room(now):
                    dropped += 1
                    continue
                self._known[name] = now
                rows.append(row)
            if len(rows) < len(group):
                group.select(rows)
        batch.groups[:] = [g for g in batch.groups if len(g)]
        return dropped

    def _room(self, now: float) -> bool:
        """Forgets series that have gone, if there are any."""
        if now < self._look:
            return False
        self._look = now + _LOOK
        gone = [name for name, at in self._known.items() if now - at > _FORGET]
        for name in gone:
            del self._known[name]
        return bool(gone)
