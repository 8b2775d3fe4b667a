"""Batches as msgpack columns, cleaned of what no reader takes, and cut into messages."""

from __future__ import annotations

from math import gcd
from typing import Any, Iterable, Iterator, Sequence

from ._column import Column, Constant, cut, integers, text_column
from ._decode import UNITS, drop_empty
from ._group import Group
from ._msgpack import array_head, map_head, pack_int, pack_str
from ._values import (MAX_CELLS, MAX_FIELDS, MAX_GROUPS, MAX_NAME, MAX_POINTS, MAX_TAG_VALUE, MAX_TAGS, Dropped, bad_tag, control,
                      in_64_bits)

_BLANKS = {c: " " for c in (*range(0x20), 0x7F)}


def clean(text: str, limit: int) -> str:
    """text with blanks for control characters, and not longer than limit bytes."""
    return cut(text.translate(_BLANKS), limit) if control(text) or 4 * len(text) > limit else text


def clean_name(name: Any) -> str:
    """name as a reader takes it."""
    return clean(name if isinstance(name, str) else str(name), MAX_NAME) or "_"


def clean_names(names: Iterable[Any]) -> list[str]:
    """Clean names; two that have become the same are told apart by a number."""
    out: list[str] = []
    for name in names:
        base = name = clean_name(name)
        k = 2
        while name in out:
            name = f"{cut(base, MAX_NAME - len(str(k)) - 1)}_{k}"
            k += 1
        out.append(name)
    return out


def tag_text(value: Any) -> str:
    """What a tag of any kind is as text; None is none."""
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    return clean(value if isinstance(value, str) else str(value), MAX_TAG_VALUE)


def tag_column(values: Sequence[Any]) -> Column:
    """Values of any kind as a column of tags."""
    if set(map(type, values)) != {str}:
        values = list(map(tag_text, values))
    return clean_tags(text_column(values))


def tag_columns(rows: Sequence[dict[str, Any]]) -> dict[str, Column]:
    """The tags of points as columns."""
    keys = dict.fromkeys(key for tags in rows for key in tags)
    return {key: tag_column([tags.get(key, "") for tags in rows]) for key in keys}


def clean_tags(column: Column) -> Column:
    """A column of tags with texts that a reader takes."""
    try:
        texts = list(column.distinct())
        whole = "".join(texts)
        if not control(whole) and (4 * len(whole) <= MAX_TAG_VALUE or not any(map(bad_tag, texts))):
            return column
    except (TypeError, UnicodeEncodeError):
        pass
    return text_column([tag_text(v) for v in column.values()])


def frames(groups: Sequence[Group], max_bytes: int, drops: Dropped) -> Iterator[tuple[bytes, int]]:
    """The messages that hold groups, none longer than max_bytes, and the points in each."""
    for piece in _pieces(g for g in map(lambda g: _ready(g, drops), groups) if g is not None):
        yield from _fitting(piece, max_bytes, drops)


def _ready(group: Group, drops: Dropped) -> Group | None:
    """The group as a reader takes it, None if nothing is left. The group itself stays as it is."""
    n = len(group)
    tags = {k: v for k, v in zip(clean_names(group.tags), map(tag_text, group.tags.values())) if v}
    keys = {k: clean_tags(c) for k, c in zip(clean_names(group.tag_columns), group.tag_columns.values())}
    fields = {k: c for k, c in zip(clean_names(group.field_columns), group.field_columns.values())
              if not (isinstance(c, Constant) and c.value is None)}
    if len(tags) > MAX_TAGS or len(keys) > MAX_TAGS or len(fields) > MAX_FIELDS:
        drops.add("limit", n)
        return None
    out = Group(clean_name(group.series), tags, keys, fields, group._times, n)
    drops.add("no_fields", drop_empty(out))
    return out if len(out) else None


def _pieces(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """Groups in lists that keep the counts of a message."""
    piece: list[Group] = []
    points = cells = 0
    for group in groups:
        width = len(group.tag_columns) + len(group.field_columns)
        first = 0
        while first < len(group):
            room = min(MAX_POINTS - points, (MAX_CELLS - cells) // width, len(group) - first)
            if room <= 0 or len(piece) == MAX_GROUPS:
                yield piece
                piece, points, cells = [], 0, 0
                continue
            piece.append(group.part(range(first, first + room)))
            first, points, cells = first + room, points + room, cells + room * width
    if piece:
        yield piece


def _fitting(groups: list[Group], max_bytes: int, drops: Dropped) -> Iterator[tuple[bytes, int]]:
    """The groups as one message, or as several where it would be too long."""
    body = pack(groups)
    points = sum(map(len, groups))
    if len(body) <= max_bytes:
        yield body, points
    elif points == 1:
        drops.add("too_large")
    else:
        for part in _parts(groups, points, min(points, len(body) * 10 // (max_bytes * 9) + 1)):
            yield from _fitting(part, max_bytes, drops)


def _parts(groups: list[Group], points: int, n: int) -> Iterator[list[Group]]:
    """The points of groups in n parts of about the same size."""
    share = -(-points // n)
    part: list[Group] = []
    room = share
    for group in groups:
        first = 0
        while first < len(group):
            last = min(first + room, len(group))
            part.append(group.part(range(first, last)))
            room -= last - first
            first = last
            if room == 0:
                yield part
                part, room = [], share
    if part:
        yield part


def pack(groups: Sequence[Group]) -> bytes:
    """Clean groups as one batch."""
    unit, t0 = _clock([g._times for g in groups])
    out = [b"\x95\x01", pack_int(unit), pack_int(t0), b"\x80", array_head(len(groups))]
    for group in groups:
        _pack_group(out, group, unit, t0)
    return b"".join(out)


def _clock(columns: list[Column]) -> tuple[int, int]:
    """The coarsest unit that loses nothing, and the first tick."""
    times: list[int] = []
    for c in columns:
        times.extend(c.distinct())
    if not times:
        return 1000, 0
    common = gcd(*times)
    unit = next(u for u in UNITS if common % u == 0)
    low, high = min(times), max(times)
    return unit, low // unit if in_64_bits(high - low) else 0


def _pack_group(out: list[bytes], group: Group, unit: int, t0: int) -> None:
    keys, fields = group.tag_columns, group.field_columns
    out += (b"\x96", pack_str(group.series), map_head(len(group.tags)))
    for key, value in group.tags.items():
        out += (pack_str(key), pack_str(value))
    out.append(array_head(len(keys)))
    out += map(pack_str, keys)
    out.append(array_head(len(fields)))
    out += map(pack_str, fields)
    out += (pack_str(group.types), array_head(2 + len(keys) + len(fields)), pack_int(len(group)))
    out.append(_ticks(group._times, unit, t0))
    out += [c.pack() for c in keys.values()]
    out += [c.pack() for c in fields.values()]


def _ticks(times: Column, unit: int, t0: int) -> bytes:
    if isinstance(times, Constant):
        return pack_int(times.value // unit - t0)
    return integers("i", [t // unit - t0 for t in times.values()]).pack()
