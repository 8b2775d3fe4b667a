"""Logs on standard error: JSON for an agent to read, text for people."""
from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import traceback
from typing import Any

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_HERE = os.path.dirname(__file__) + os.sep
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Json(logging.Formatter):
    def __init__(self, host: str, plugin: str):
        super().__init__()
        self._names = {"host": host, "plugin": plugin}

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        level = "WARN" if record.levelno == logging.WARNING else "ERROR" if record.levelno > logging.ERROR else record.levelname
        out: dict[str, Any] = {"time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"), "level": level,
                               "msg": record.getMessage(), **self._names, **facts(record)}
        if record.exc_info:
            out["stack"] = _stack(*record.exc_info)
        return json.dumps(out, default=str)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = "".join(f" {k}={v!r}" if isinstance(v, str) and " " in v else f" {k}={v}" for k, v in facts(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname[:4]} {record.getMessage()}{said}"
        return line + ("\n" + _stack(*record.exc_info).rstrip() if record.exc_info else "")


def _stack(kind: Any, err: Any, frames: Any) -> str:
    """The traceback of an error. It begins in the author's code, where there is some: how he was called says nothing to him."""
    own = frames
    while own and own.tb_frame.f_code.co_filename.startswith(_HERE):
        own = own.tb_next
    return "".join(traceback.format_exception(kind, err, own or frames))


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """What was given to a record as extra."""
    return {k: v for k, v in vars(record).items() if k not in _OWN}


def new_log(level: str, host: str, plugin: str) -> logging.Logger:
    """The log of a plugin. It leaves the root logger, which is the program's own, as it is."""
    log = logging.getLogger("pacewire.plugin")
    log.handlers.clear()
    log.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(host, plugin) if os.environ.get("PACEWIRE_PLUGIN") else _Text())
    log.addHandler(handler)
    log.setLevel(_LEVELS[level])
    return log
