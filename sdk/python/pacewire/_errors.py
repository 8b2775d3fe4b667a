"""What an author may raise, and what becomes of it."""
from __future__ import annotations

import asyncio
from typing import Iterable


class Permanent(Exception):
    """Trying again never helps.

    A batch goes to the dead letters with this as the reason. A collector stops until its config changes.
    """


class Denied(Exception):
    """Somebody has to act: a password is wrong, a database is missing.

    The batch waits and is given again slowly, and an alarm is raised.
    """


class After(Exception):
    """Ordinary trouble, and a wish: try again in so many seconds."""

    def __init__(self, message: str, seconds: float):
        super().__init__(message)
        self.seconds = float(seconds)


class NoData(Exception):
    """There is nothing to report, and nothing is wrong. From ``start`` it makes the plugin idle until a refresh."""


class TooLarge(Exception):
    """The sink finds the batch too large: it is halved and each half given. One point alone goes to the dead letters."""


class ConfigError(Exception):
    """A config that cannot be used, with all that is wrong in it."""

    def __init__(self, faults: Iterable[str]):
        self.faults = list(faults)
        super().__init__("; ".join(self.faults))


class Refused(Exception):
    """The agent does not want this plugin; the text says why."""


class Late(asyncio.TimeoutError):
    """A call had no answer within its time."""


FIRST_PAUSE, MOST_PAUSE = 1.0, 60.0
FIRST_DENIED, MOST_DENIED = 30.0, 300.0


def pause(err: BaseException, attempt: int, random: float) -> float:
    """How many seconds to wait before the next try; random (0 to 1) spreads those who failed together."""
    if isinstance(err, After):
        return err.seconds
    first, most = (FIRST_DENIED, MOST_DENIED) if isinstance(err, Denied) else (FIRST_PAUSE, MOST_PAUSE)
    whole = min(first * 2 ** min(attempt - 1, 10), most)
    return whole * (0.5 + 0.5 * random)


def class_of(err: BaseException) -> str:
    """The name of an error in counters."""
    classes = ((Denied, "denied"), (Permanent, "permanent"), (TooLarge, "too_large"), (asyncio.TimeoutError, "timeout"),
               (TimeoutError, "timeout"), (ConfigError, "config_invalid"))
    return next((name for kind, name in classes if isinstance(err, kind)), "error")


def fault_code(err: BaseException) -> str:
    """The class of an error in plugin data."""
    classes = ((asyncio.TimeoutError, "timeout"), (TimeoutError, "timeout"), (PermissionError, "denied"), (Denied, "denied"),
               (ImportError, "dependency"), (FileNotFoundError, "not_found"), (Permanent, "invalid"))
    return next((code for kind, code in classes if isinstance(err, kind)), "internal")


def text_of(err: BaseException, most: int = 200) -> str:
    """What an error says, on one line and short enough for a heartbeat."""
    said = "; ".join(line.strip() for line in str(err).splitlines() if line.strip())
    if not said or isinstance(err, (KeyError, IndexError, StopIteration, AssertionError)):
        said = type(err).__name__ + (": " + said if said else "")
    said = said.encode("utf-8", "replace").decode()
    return said if len(said) <= most else said[:most] + "..."
