"""Batches for tests, and what is in one."""
from __future__ import annotations

import json
import pathlib
from typing import Any

from pacewire._batch import CONTENT_TYPE, Batch, decode, frames

SCHEMAS = pathlib.Path(__file__).resolve().parents[3] / "schemas" / "testdata"
JSON, LINES = "application/json", "text/x-influx"
STORED = 1763559526250000000  # 2025-11-19T13:38:46.25Z
AT = 1763559525997744000


def described(batch: Batch) -> list[Any]:
    """Every point with the type of each field, in an order of its own."""
    return sorted(repr((p.series, p.time_ns, sorted(p.tags.items()), sorted((k, (p.types or {})[k], v) for k, v in p.fields.items())))
                  for p in batch.points())


def read(data: bytes, content_type: str | None = CONTENT_TYPE, host: str = "") -> Batch:
    """What data holds; its drops are those of decoding."""
    batch, drops = decode(data, content_type, stored_ns=STORED, host=host)
    assert not batch.drops
    for code, n in drops.items():
        batch.drops.add(code, n)
    return batch


def sent(batch: Batch, max_bytes: int = 256 << 10) -> Batch:
    """The batch as its readers get it."""
    out = Batch()
    for body in frames(batch, max_bytes):
        out.groups.extend(read(body).groups)
    return out


def cases(kind: str) -> Any:
    return json.loads((SCHEMAS / kind / "cases.json").read_text())


def cpu(n: int = 3) -> Batch:
    """n points with a tag that differs, one that does not, and a field of each type."""
    batch = Batch()
    for i in range(n):
        batch.add("cpu", {"user": i + 0.5, "ctx": i - 1, "up": i % 2 == 0, "state": "RSD"[i % 3], "rss": 2**63 + i},
                  {"cpu": f"cpu{i}", "dc": "eu"}, AT + 1000 * i, types={"rss": "u"})
    return batch
