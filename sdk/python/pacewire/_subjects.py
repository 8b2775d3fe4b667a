"""Names on the bus: tokens, subjects, users."""
from __future__ import annotations

import hashlib
import string

_PLAIN = frozenset((string.ascii_letters + string.digits + "_-").encode())
_MOST, _KEPT = 64, 48


def token(name: str) -> str:
    """One token of a subject for any name: plain letters, digits, _ and - stay, every other byte becomes =XX."""
    data = name.encode()
    text = "".join(chr(b) if b in _PLAIN else f"={b:02X}" for b in data) or "="
    if len(text) <= _MOST:
        return text
    cut = text.rfind("=", _KEPT - 2, _KEPT)  # of an escape that would be split
    return text[:_KEPT if cut < 0 else cut] + "==" + hashlib.sha256(data).hexdigest()[:12]


def untoken(text: str) -> str:
    """The name behind a token; the token itself where that cannot be known."""
    if text == "=":
        return ""
    if "==" in text:
        return text
    head, *rest = text.split("=")
    try:
        return (head.encode() + b"".join(bytes.fromhex(r[:2]) + r[2:].encode() for r in rest)).decode()
    except ValueError:
        return text


def user(host: str, plugin: str) -> str:
    """Who a plugin is on the bus; its inboxes begin so."""
    return token(host).replace("_", "=5F") + "_" + token(plugin)


def subject(area: str, *names: str) -> str:
    """A subject, such as pw.metrics.<host>.<plugin>."""
    return ".".join(["pw", area, *map(token, names)])


def derived_id(source: str, plugin: str, part: int) -> str:
    """The id of what plugin makes of the message with the id source; part counts from 1."""
    return f"{source}+{token(plugin)}" + (f".{part}" if part > 1 else "")
