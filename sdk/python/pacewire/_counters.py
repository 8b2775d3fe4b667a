"""What is counted for every plugin, and the flags by which heartbeats tell of losses."""
from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any, Callable

from ._errors import text_of

_STAYS = 60.0  # seconds that a loss shows in heartbeats after the last time
_FLAGS = {"overflow": "overflow", "dropped_flood": "dropped_flood", "series_limit": "series_limit", "lost_unread_batches": "lost_unread"}
"""The flags that losses raise, by their reason."""


class Counters:
    """Counts of a process since its start."""

    def __init__(self) -> None:
        self.n: Counter[str] = Counter()  # points_in, points_out, batches_in, ... ticks, missed
        self.errors: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.last: dict[str, str] | None = None
        self.changed: Callable[[], None] = lambda: None  # is called when there is a flag more
        self._last_at = 0.0
        self._raised: dict[str, float] = {}
        self._held: set[str] = set()
        self._calls: deque[float] = deque(maxlen=1024)
        self._longest = 0.0

    def fail(self, code: str, err: BaseException | str) -> None:
        """Counts an error and keeps it as the last."""
        self.errors[code] += 1
        text = err if isinstance(err, str) else text_of(err)
        self.last, self._last_at = {"code": code, "message": text}, time.monotonic()

    def drop(self, reason: str, points: int) -> None:
        """Counts points that are lost."""
        if points <= 0:
            return
        self.dropped[reason] += points
        if reason in _FLAGS:
            new = _FLAGS[reason] not in self.flags()
            self._raised[reason] = time.monotonic()
            if new:
                self.changed()

    def hold(self, flag: str, held: bool) -> None:
        """Shows a flag as long as it is held."""
        if (flag in self._held) != held:
            (self._held.add if held else self._held.discard)(flag)
            self.changed()

    def flags(self) -> list[str]:
        """The flags of a heartbeat."""
        now = time.monotonic()
        raised = {_FLAGS[r] for r, at in self._raised.items() if now - at < _STAYS}
        return sorted(raised | self._held)

    def called(self, seconds: float) -> None:
        """Notes how long a call took."""
        self.n["calls"] += 1
        self._calls.append(seconds)
        self._longest = max(self._longest, seconds)

    def fault(self) -> dict[str, Any] | None:
        """The last error with its age."""
        if self.last is None:
            return None
        return {**self.last, "age_ms": round(1000 * (time.monotonic() - self._last_at))}

    def stats(self) -> dict[str, Any]:
        """The counts as the reply to a ping has them; a heartbeat has no last_error among them, it stands beside."""
        out: dict[str, Any] = {k: v for k, v in self.n.items() if v}
        times = sorted(self._calls)
        if times:
            out.update(call_p50_us=round(1e6 * times[len(times) // 2]), call_p99_us=round(1e6 * times[len(times) * 99 // 100]),
                       call_max_us=round(1e6 * self._longest))
        for name, counts in (("errors", self.errors), ("dropped", self.dropped)):
            if counts:
                out[name] = dict(counts)
        return out
