"""Points of one series that have the same tags and fields, as columns."""

from __future__ import annotations

from itertools import repeat
from typing import Any, Iterable, Iterator, Mapping, Sequence

from ._column import LETTERS, Column, Constant, Dense, mixed, text_column


class Types(dict):
    """The letters of the fields of a group. Those that its points share are the same object, and a key by that."""

    __slots__ = ("_key",)

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._key
        except AttributeError:
            self._key: int = hash(frozenset(self.items()))
            return self._key


class Point:
    """One observation: the fields of a series that a time and some tags have. ``time_ns`` None: when it is sent.

    ``types`` tells the letter of a field that its value does not: 1 may be an ``i``, a ``u`` or an ``f``."""

    __slots__ = ("series", "time_ns", "tags", "fields", "types")

    def __init__(self, series: str, time_ns: int | None, tags: dict[str, str], fields: dict[str, Any],
                 types: Mapping[str, str] | None = None) -> None:
        self.series = series
        self.time_ns = time_ns
        self.tags = tags
        self.fields = fields
        self.types = types

    def __repr__(self) -> str:
        return f"Point({self.series!r}, {self.time_ns}, {self.tags!r}, {self.fields!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Point):
            return NotImplemented
        return (self.series, self.time_ns, self.tags, self.fields) == (other.series, other.time_ns, other.tags, other.fields)

    __hash__ = None  # type: ignore[assignment]


class Group:
    """Points of one series with the same tag keys and fields.

    ``tags`` are those that every point has; they may be changed. A tag of a point goes before one of all."""

    __slots__ = ("series", "tags", "tag_columns", "field_columns", "_n", "_times")

    def __init__(self, series: str, tags: dict[str, str], tag_columns: dict[str, Column], field_columns: dict[str, Column],
                 times: Column, n: int) -> None:
        self.series = series
        self.tags = tags
        self.tag_columns = tag_columns  # in whatever form they have
        self.field_columns = field_columns
        self._times = times  # ns
        self._n = n

    def __len__(self) -> int:
        return self._n

    @property
    def tag_keys(self) -> list[str]:
        """The keys of the tags that differ by point."""
        return list(self.tag_columns)

    @property
    def fields(self) -> list[str]:
        """The names of the fields."""
        return list(self.field_columns)

    @property
    def types(self) -> str:
        """The letter of each field: f float, i int, u unsigned, b bool, s str."""
        return "".join(c.letter for c in self.field_columns.values())

    @property
    def times(self) -> list[int]:
        """The time of each point, in nanoseconds since 1970. Not to be changed."""
        return self._times.values()

    def column(self, name: str) -> list:
        """The values of a field, None where a point has none. Not to be changed: see set_field."""
        return self.field_columns[name].values()

    def tag(self, key: str) -> list[str]:
        """What each point has as the tag key, "" for none."""
        outer = self.tags.get(key) or ""
        inner = self.tag_columns.get(key)
        if inner is None:
            return [outer] * self._n
        return [text or outer for text in inner.values()]

    def select(self, rows: Sequence[int]) -> None:
        """Keeps the points with these numbers, in this order."""
        rows = rows if isinstance(rows, (list, tuple, range)) else list(rows)
        every = range(self._n)
        if len(rows) == self._n and (rows == every or list(rows) == list(every)):
            return
        self._each(lambda c: c.select(rows), len(rows))

    def keep(self, mask: Iterable[Any]) -> None:
        """Keeps the points for which mask, one value a point, is true."""
        mask = list(map(bool, mask))
        if len(mask) != self._n:
            raise ValueError(f"a mask of {len(mask)} values for {self._n} points")
        n = mask.count(True)
        if n < self._n:
            self._each(lambda c: c.keep(mask, n), n)

    def _each(self, do: Any, n: int) -> None:
        self._times = do(self._times)
        self.tag_columns = {key: do(c) for key, c in self.tag_columns.items()}
        self.field_columns = {name: do(c) for name, c in self.field_columns.items()}
        self._n = n

    def part(self, rows: Sequence[int]) -> Group:
        """A group of its own of the points with these numbers."""
        part = Group(self.series, dict(self.tags), self.tag_columns, self.field_columns, self._times, self._n)
        part.select(rows)
        return part

    def set_tag(self, key: str, value: str | Sequence[str]) -> None:
        """Gives every point the tag key: one text, or one for each. "" takes it away."""
        self.drop_tag(key)
        if isinstance(value, str):
            if value:
                self.tags = {**self.tags, key: value}
            return
        self._fits(value)
        self.tag_columns = {**self.tag_columns, key: text_column(list(value))}

    def drop_tag(self, key: str) -> None:
        """Takes the tag key from every point."""
        self.tags = {k: v for k, v in self.tags.items() if k != key}
        self.tag_columns = {k: c for k, c in self.tag_columns.items() if k != key}

    def rename_tag(self, old: str, new: str) -> None:
        """Calls the tag old by the name new, in the place of one that was called so."""
        if old == new or old not in self.tags and old not in self.tag_columns:
            return
        outer, inner = self.tags.get(old), self.tag_columns.get(old)
        self.drop_tag(old)
        self.drop_tag(new)
        if outer:
            self.tags = {**self.tags, new: outer}
        if inner is not None:
            self.tag_columns = {**self.tag_columns, new: inner}

    def set_field(self, name: str, values: Any, letter: str = "") -> None:
        """Sets a field: one value for all, or one for each point, None for no value.

        letter is its type; without one the values tell."""
        if isinstance(values, (str, bool, int, float)):
            values = [values] * self._n
        self._fits(values)
        letter = letter or letter_of(values)
        if letter not in LETTERS:
            raise ValueError(f"a field of type {letter!r}: want one of f, i, u, b, s")
        if letter == "f":
            values = [None if v is None else float(v) for v in values]
        made = mixed(letter, values)[0] if self._n else Constant(letter, None, 0)
        self.field_columns = {**self.field_columns, name: made}

    def drop_field(self, name: str) -> None:
        """Takes a field from every point."""
        self.field_columns = {k: c for k, c in self.field_columns.items() if k != name}

    def rename_field(self, old: str, new: str) -> None:
        """Calls the field old by the name new, in the place of one that was called so."""
        if old != new and old in self.field_columns:
            self.field_columns = {new if k == old else k: c for k, c in self.field_columns.items() if k != new}

    def _fits(self, values: Sequence[Any]) -> None:
        if len(values) != self._n:
            raise ValueError(f"{len(values)} values for {self._n} points")

    def points(self) -> Iterator[Point]:
        """Every point, with dicts of its own."""
        series, types = self.series, Types(zip(self.field_columns, self.types))
        for at, tags, fields in zip(self.times, self.tag_rows(), self.field_rows()):
            yield Point(series, at, tags, fields, types)

    def tag_rows(self) -> Iterator[dict[str, str]]:
        """The tags of each point, as dicts of their own."""
        shared = {k: v for k, v in self.tags.items() if v}
        columns = {k: repeat(v) for k, v in shared.items()}
        sparse = False
        for key, c in self.tag_columns.items():
            holes = not all(c.distinct())
            sparse = sparse or holes
            columns[key] = self.tag(key) if holes and key in shared else c.values()
        if not columns:
            return iter([{} for _ in range(self._n)])
        keys = tuple(columns)
        rows = zip(*columns.values(), repeat(None, self._n))
        if sparse:
            return ({k: v for k, v in zip(keys, row) if v} for row in rows)
        return (dict(zip(keys, row)) for row in rows)

    def field_rows(self) -> Iterator[dict[str, Any]]:
        """The fields of each point, as dicts of their own."""
        names = tuple(self.field_columns)
        sparse = any(None in c.distinct() for c in self.field_columns.values() if not isinstance(c, Dense))
        rows = zip(*[c.values() for c in self.field_columns.values()])
        if sparse:
            return ({k: v for k, v in zip(names, row) if v is not None} for row in rows)
        return (dict(zip(names, row)) for row in rows)


LETTER_OF = {float: "f", int: "i", bool: "b", str: "s"}


def letter_as(kind: type, hint: str) -> str:
    """The letter of a type of Python, "" for others: an int may be any of the numbers that hint says, the rest is what it is."""
    return hint if kind is int and hint in ("f", "u") else LETTER_OF.get(kind, "")


def letter_of(values: Iterable[Any]) -> str:
    """The type that values have: floats and integers together are floats."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {bool}:
        return "b"
    if kinds <= {int}:
        return "i"
    if kinds <= {int, float}:
        return "f"
    if kinds <= {str}:
        return "s"
    raise TypeError(f"a field of {', '.join(sorted(k.__name__ for k in kinds))}: want bool, int, float or str alone")
