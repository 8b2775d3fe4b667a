"""Control messages as bytes: written as JSON, read strictly in either encoding."""
from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Callable

from . import _msgpack

MAX_MESSAGE, MAX_REQUEST, MAX_DEPTH, MAX_VALUES = 256 << 10, 64 << 10, 16, 20_000
_INT64, _UINT64 = 1 << 63, 1 << 64


class ControlError(ValueError):
    """A message that is refused as a whole: why, as one of the codes of the protocol, and where."""

    def __init__(self, code: str, where: str = ""):
        super().__init__(f"{code} at {where}" if where else code)
        self.code = code


def encode(value: Any) -> bytes:
    """JSON with sorted keys and no blanks: equal values, equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    """The first 16 bytes of the SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()[:32]


def decode_ack(body: bytes) -> dict[str, Any]:
    """An ACK, checked. Raises ControlError."""
    return _checked(body, MAX_MESSAGE, MAX_VALUES, _ACK)


def decode_request(body: bytes) -> dict[str, Any]:
    """A request of the agent, checked. Raises ControlError."""
    return _checked(body, MAX_REQUEST, 4096, _REQUEST)


def encode_as(body: bytes, value: Any) -> bytes:
    """value in the encoding that body has."""
    return encode(value) if body[:1] == b"{" else _msgpack.packb(value)


def _checked(body: bytes, most: int, values: int, table: dict[str, _Check]) -> dict[str, Any]:
    if not body:
        raise ControlError("empty")
    if len(body) > most:
        raise ControlError("limit")
    if body[:1] == b"{":
        message = _from_json(body)
    else:
        try:
            message = _msgpack.unpackb(body)
        except RecursionError:
            raise ControlError("depth") from None
        except ValueError as err:
            raise ControlError(getattr(err, "code", "syntax")) from None
    _Walk(values).walk(message, 1)
    _fields(table)(message, "")
    return message


def _from_json(body: bytes) -> Any:
    def no_nan(text: str) -> float:
        raise ControlError("nan", text)

    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            raise ControlError("range", text[:20])
        return value

    try:
        return json.loads(body.decode(), parse_constant=no_nan, parse_float=number)
    except UnicodeDecodeError:
        raise ControlError("utf8") from None
    except RecursionError:
        raise ControlError("depth") from None
    except ControlError:
        raise
    except ValueError:  # digits without end are one too
        raise ControlError("syntax") from None


class _Walk:
    """Counts values and levels, and looks at each text and number."""

    def __init__(self, values: int):
        self.left = values

    def walk(self, value: Any, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise ControlError("limit")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ControlError("utf8") from None
        elif isinstance(value, float) and not math.isfinite(value):
            raise ControlError("nan")
        elif isinstance(value, int) and not -_INT64 <= value < _UINT64 and math.isinf(_float(value)):
            raise ControlError("range")
        elif isinstance(value, (dict, list, tuple)):
            if depth > MAX_DEPTH:
                raise ControlError("depth")
            for key in value if isinstance(value, dict) else ():
                if not isinstance(key, str):
                    raise ControlError("key")
                self.walk(key, depth)
                self.left += 1
            for item in value.values() if isinstance(value, dict) else value:
                self.walk(item, depth + 1)


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


# What may stand at a key. A check gets the value and where it stands; it may return what is to stand there instead.
_Check = Callable[[Any, str], Any]


def _whole(low: int, high: int) -> _Check:
    def check(value: Any, at: str) -> int:
        if isinstance(value, str) and value.lstrip("-").isdecimal() and value.isascii() and len(value) < 24:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ControlError("type", at)
        if not low <= value <= high:
            raise ControlError("range", at)
        return value
    return check


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise ControlError("type", at)
    return value


def _name(value: Any, at: str) -> str:
    if not _text(value, at):
        raise ControlError("required", at)
    return value


def _word(*words: str) -> _Check:
    def check(value: Any, at: str) -> str:
        if _text(value, at) not in words:
            raise ControlError("range", at)
        return value
    return check


def _boolean(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise ControlError("type", at)
    return value


def _list(item: _Check) -> _Check:
    def check(value: Any, at: str) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise ControlError("type", at)
        return [item(v, f"{at}.{n}") for n, v in enumerate(value)]
    return check


def _map(item: _Check) -> _Check:
    def check(value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ControlError("type", at)
        return {k: item(v, f"{at}.{k}") for k, v in value.items()}
    return check


def _any(value: Any, at: str) -> Any:
    return value


def _digest(value: Any, at: str) -> str:
    if isinstance(value, bytes):
        if len(value) not in (0, 16):
            raise ControlError("type", at)
        return value.hex()
    if len(_text(value, at)) not in (0, 32) or value.strip("0123456789abcdefABCDEF"):
        raise ControlError("type", at)
    return value.lower()


def _settings(value: Any, at: str) -> dict[str, Any]:
    """An object; in msgpack its JSON as a text too."""
    if isinstance(value, (str, bytes)):
        try:
            value = _from_json(value.encode() if isinstance(value, str) else value)
        except ControlError as err:
            raise ControlError(err.code, at) from None
    return _map(_any)(value, at)


def _fields(table: dict[str, _Check]) -> _Check:
    """An object with these keys; those written with a * must be there. null is as good as absent."""
    checks = {key.rstrip("*"): check for key, check in table.items()}
    needed = [key[:-1] for key in table if key.endswith("*")]

    def check(value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ControlError("type", at)
        for key in [k for k in value if k in checks]:
            if value[key] is None:
                del value[key]
            else:
                value[key] = checks[key](value[key], f"{at}.{key}" if at else key)
        for key in needed:
            if key not in value:
                raise ControlError("required", f"{at}.{key}" if at else key)
        return value
    return check


_count, _ns, _wait = _whole(0, _UINT64 - 1), _whole(-_INT64, _INT64 - 1), _whole(0, 1 << 40)

_REQUEST: dict[str, _Check] = {
    "id*": _name, "want": _list(_text), "mode": _word("", "cached", "collect"), "max_age_ms": _wait, "args": _map(_any)}

_ACK: dict[str, _Check] = {
    "v*": _whole(1, 1), "srv*": _name, "term": _count, "seq*": _count, "t1": _ns, "t2": _ns, "t3": _ns, "rcv": _count, "lost": _count,
    "gen": _count, "state*": _word("accepted", "refused"), "reason": _text, "next_ms": _whole(0, 3_600_000), "inv": _digest,
    "flags": _list(_text), "batch_v": _list(_count), "cfg_rev": _count, "config": _settings,
    "inputs": _list(_fields({"stream*": _name, "durable*": _name, "filters": _list(_text), "end": _count})),
    "tags": _map(_text), "every_ms": _wait, "timeout_ms": _wait, "max_ack_pending": _whole(0, 1 << 20), "parallel": _whole(0, 1024),
    "order": _word("", "source"), "queue_bytes": _wait, "overflow": _word("", "block", "drop_oldest", "drop_new"), "max_rate": _wait,
    "max_series": _wait,
    "schedule": _fields({"cron": _text, "timezone": _text, "align": _boolean, "splay_ms": _ns, "from": _ns, "until": _ns, "count": _ns})}
