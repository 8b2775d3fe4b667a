"""Times by five or six words, as cron has them."""
from __future__ import annotations

import datetime

_WORDS = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *",
          "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
_MONTHS = {name: n for n, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_DAYS = {name: n for n, name in enumerate("sun mon tue wed thu fri sat".split())}
_RANGES = ((0, 59, {}), (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTHS), (0, 7, _DAYS))


class Cron:
    """minute hour day month weekday, or six words with seconds first; or a word such as @daily. Raises ValueError."""

    def __init__(self, text: str, timezone: str = ""):
        words = _WORDS.get(text.strip(), text).lower().split()
        if len(words) == 5:
            words.insert(0, "0")
        if len(words) != 6:
            raise ValueError(f"cron {text!r} has {len(words)} words: want five, or six with seconds first")
        self._sets = [_set(w, *r) for w, r in zip(words, _RANGES)]
        if 7 in self._sets[5]:
            self._sets[5].add(0)
        self._any_day, self._any_weekday = words[3].startswith(("*", "?")), words[5].startswith(("*", "?"))
        self._zone = _zone(timezone)

    def next(self, after: float) -> float:
        """The first time behind after, seconds since 1970. Raises ValueError when there is none in five years."""
        at = datetime.datetime.fromtimestamp(int(after) + 1, self._zone).replace(tzinfo=None)
        end = at.year + 5
        second, minute, hour, _, month, _ = self._sets
        while at.year <= end:
            if at.month not in month:
                at = (at.replace(day=1) + datetime.timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
            elif not self._day(at):
                at = at.replace(hour=0, minute=0, second=0) + datetime.timedelta(days=1)
            elif at.hour not in hour:
                at = at.replace(minute=0, second=0) + datetime.timedelta(hours=1)
            elif at.minute not in minute:
                at = at.replace(second=0) + datetime.timedelta(minutes=1)
            elif at.second not in second:
                at += datetime.timedelta(seconds=1)
            else:
                stamp = at.replace(tzinfo=self._zone).timestamp() if self._zone else at.timestamp()
                if stamp > after:
                    return stamp
                at += datetime.timedelta(seconds=1)
        raise ValueError("no day fits the cron words")

    def _day(self, at: datetime.datetime) -> bool:
        day, weekday = at.day in self._sets[3], (at.weekday() + 1) % 7 in self._sets[5]
        return day and weekday if self._any_day or self._any_weekday else day or weekday


def _zone(name: str) -> datetime.tzinfo | None:
    if not name:
        return None
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"timezone {name!r} is not known here: write it like Europe/Berlin") from None


def _set(word: str, low: int, high: int, names: dict[str, int]) -> set[int]:
    out: set[int] = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if first in ("*", "?") else _number(first, names)
        end = _number(last, names) if dash else high if step or first in ("*", "?") else begin
        width = _number(step, {}) if step else 1
        if not low <= begin <= end <= high or width < 1:
            raise ValueError(f"cron word {word!r}: want numbers from {low} to {high}, such as 5, 1-5, */10 or 1,3")
        out.update(range(begin, end + 1, width))
    return out


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not text.isdecimal():
        raise ValueError(f"cron word {text!r} is no number")
    return int(text)
