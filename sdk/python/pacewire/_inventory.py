"""What a plugin can tell of itself and, when it keeps facts, of the host; by digests the agent knows what it has missed."""
from __future__ import annotations

import time
from typing import Any, Iterator

from ._control import digest, encode
from ._errors import fault_code, text_of

SOFT_LIMIT = 200 << 10  # of the data in one message, whose limit is 256 KiB
HARD_LIMIT = 8 << 20


class Entry:
    """One entry: facts of a type, with what went wrong when they were collected."""

    def __init__(self, kind: str, data: dict[str, Any] | None, error: BaseException | None = None, took: float = 0.0):
        self.kind, self.data, self.took = kind, data, took
        self.at, self.mono = time.time_ns(), time.monotonic()
        self.fault = {"code": fault_code(error), "message": text_of(error)} if error else None
        self.encoded = b"" if data is None else encode(data)
        self.digest = "" if data is None else digest(self.encoded)


def entry_of_facts(data: Any, error: BaseException | None, took: float) -> Entry:
    """The entry of one collection; what cannot be sent becomes an error that is."""
    try:
        if data is not None and not isinstance(data, dict):
            raise ValueError(f"facts are a {type(data).__name__}: collect must return a dict")
        entry = Entry("info", data or ({} if error is None else None), error, took)
        if len(entry.encoded) > HARD_LIMIT:
            raise ValueError(f"the facts have {len(entry.encoded)} bytes, at most {HARD_LIMIT} can be sent: let it collect less")
        return entry
    except (TypeError, ValueError, RecursionError) as err:
        unfit = Entry("info", None, err, took)
        unfit.fault = {"code": "invalid", "message": text_of(err)}
        return unfit


class Inventory:
    """The entries of one plugin."""

    def __init__(self, host: str, plugin: str, inst: str, version: str):
        self.host, self.plugin, self.inst, self.version = host, plugin, inst, version
        self.config = ""  # digest of the config that facts are collected under
        self.entries: dict[str, Entry] = {}
        self._seq = 0

    def keep(self, entry: Entry) -> bool:
        """Keeps an entry and reports whether it says something new."""
        old, self.entries[entry.kind] = self.entries.get(entry.kind), entry
        code = (entry.fault or {}).get("code")
        return old is None or old.digest != entry.digest or (old.fault or {}).get("code") != code

    def configured(self, settings: dict[str, Any]) -> None:
        """Notes under which config facts are collected from here on."""
        self.config = digest(encode(settings))

    def items(self) -> list[list[str]]:
        """The list of the inventory, as a heartbeat has it."""
        return [[self.plugin, kind, self.version, self.config if kind == "info" else "", e.digest]
                for kind, e in sorted(self.entries.items())]

    def digest(self) -> str:
        """The digest of the whole inventory."""
        zeros = "0" * 32
        return digest(b"".join(
            f"{plugin}\0{kind}\0{version}\0".encode() + bytes.fromhex(cfg or zeros) + bytes.fromhex(own or zeros)
            for plugin, kind, version, cfg, own in self.items()))

    def manifest(self) -> list[list[Any]]:
        """The list as the reply to a refresh has it: with size, age and error of each."""
        now = time.monotonic()
        entries = [self.entries[item[1]] for item in self.items()]
        return [[*item, len(e.encoded), round(1000 * (now - e.mono)), e.fault] for item, e in zip(self.items(), entries)]

    def messages(self, want: list[str]) -> Iterator[bytes]:
        """The wanted entries ("*", or plugin/type) as PLG, cut to the size of a message."""
        for item in self.items():
            if "*" in want or f"{self.plugin}/{item[1]}" in want:
                yield from self._parts(self.entries[item[1]], item)

    def _parts(self, entry: Entry, item: list[str]) -> Iterator[bytes]:
        self._seq += 1
        head: dict[str, Any] = {
            "v": 1, "host": self.host, "inst": self.inst, "plugin": self.plugin, "type": entry.kind, "version": self.version,
            "t": entry.at, "dur_us": round(1e6 * entry.took), "seq": self._seq}
        optional = {"cfg": item[3], "digest": entry.digest, "error": entry.fault}
        head.update({k: v for k, v in optional.items() if v})
        if len(entry.encoded) <= SOFT_LIMIT:
            yield encode(head if entry.data is None else {**head, "data": entry.data})
            return
        pieces = list(_cut(entry.encoded.decode(), SOFT_LIMIT // 2))
        for n, piece in enumerate(pieces, 1):
            yield encode({**head, "chunk": piece, "part": n, "parts": len(pieces)})


def _cut(text: str, most: int) -> Iterator[str]:
    """text in pieces of about so many bytes: as a JSON string each may take twice as many."""
    start, size = 0, 0
    for n, char in enumerate(text):
        size += len(char.encode()) + (char in '"\\')
        if size > most:
            yield text[start:n]
            start, size = n, 0
    yield text[start:]
