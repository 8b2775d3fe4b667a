"""Remembers, beyond the end of the process, which batches were in hand when it died."""
from __future__ import annotations

import hmac
import json
import os
import secrets
from typing import Any


class Suspects:
    """A batch that is given again is noted in a file while it is in hand. What the next process finds there has one more death
    to its name, so a batch that kills its plugin is set aside, and the innocent ones given again with it are not."""

    def __init__(self, folder: str):
        self._path = os.path.join(folder, "suspects.json") if folder else ""
        self._deaths: dict[str, int] = {}
        self._hand: set[str] = set()
        try:
            with open(self._path, encoding="utf-8") as file:
                noted = json.load(file)
            self._deaths = {str(k): int(v) for k, v in noted["deaths"].items()}
            for place in noted["in_hand"]:
                self._deaths[str(place)] = self._deaths.get(str(place), 0) + 1
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # none, or a torn note: a poisonous batch then takes one death more

    def deaths(self, place: str) -> int:
        """How often the process has died with this one in hand."""
        return self._deaths.get(place, 0)

    def begin(self, place: str) -> None:
        """Notes that it is in hand."""
        self._hand.add(place)
        self._write()

    def end(self, place: str) -> None:
        """Notes that it was survived, or set aside."""
        if place in self._hand or place in self._deaths:
            self._hand.discard(place)
            self._deaths.pop(place, None)
            self._write()

    def _write(self) -> None:
        if not self._path:
            return
        try:
            if not self._hand and not self._deaths:
                os.remove(self._path)
                return
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump({"deaths": self._deaths, "in_hand": sorted(self._hand)}, file)
        except OSError:
            pass  # it is no promise


class LetterKey:
    """The secret by which ids of dead letters are made, which the next process knows too: one that goes on where this one died
    stores no second letter, and nobody who can guess the id can use it up before."""

    _SIZE = 32

    def __init__(self, folder: str):
        self.key = self._find(folder) if folder else b""

    def _find(self, folder: str) -> bytes:
        path = os.path.join(folder, "letters.key")
        try:
            if os.path.exists(path):
                return self._read(path)
            os.makedirs(folder, 0o700, exist_ok=True)
            new = f"{path}-{os.getpid()}"
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secrets.token_bytes(self._SIZE))
            os.replace(new, path)
            return self._read(path)  # of whoever was last: during a swap there are two processes
        except OSError:
            return b""

    def _read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            key = file.read()
        return key if len(key) == self._SIZE else b""

    def id(self, plugin: str, durable_token: str, delivery: Any, body: bytes, part: int) -> str:
        """The id of the letter of a delivery, or of a part of it."""
        name = f"dead/{durable_token}/{delivery.stream_seq}/" + (f"{part}/" if part else "")
        if not self.key:
            return name + secrets.token_hex(13)  # two letters of one batch are harmless, one less is not
        text = json.dumps([name, plugin, delivery.subject, delivery.stored_ns]).encode()
        return name + hmac.new(self.key, text + body, "sha256").hexdigest()[:32]
