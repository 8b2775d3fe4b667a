"""The wall clock, as number and as text."""
from __future__ import annotations

import datetime
import time


def now_ns() -> int:
    """Nanoseconds since 1970, in whole microseconds."""
    return time.time_ns() // 1000 * 1000


def rfc3339(ns: int) -> str:
    """A time in UTC, with as many decimals as it needs."""
    whole, part = divmod(ns, 10**9)
    at = datetime.datetime.fromtimestamp(whole, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return at + (f".{part:09d}".rstrip("0") if part else "") + "Z"
