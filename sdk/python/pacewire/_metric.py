"""Metrics: one value under a namespace, as authors of Snap plugins know them, and what they are as points.

The last static element of a namespace is the field, those before it, joined by "_", are the series; one alone is the series
of a field "value". Dynamic elements are tags. Metrics of one series with the same time and tags are one point."""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import Any, Iterable, Iterator, NamedTuple, Union

from ._batch import Batch
from ._clock import now_ns
from ._column import Column, mixed
from ._encode import tag_columns
from ._group import Group, Point, Types, letter_as
from ._values import as_told

__all__ = ["Element", "Metric", "Namespace", "add_metrics", "dynamic", "from_batch"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Element(NamedTuple):
    """One element of a namespace. A dynamic one has a name; its value is "*" in a catalog."""

    value: str
    name: str = ""
    description: str = ""

    def is_dynamic(self) -> bool:
        return self.name != ""


def dynamic(name: str, description: str = "", value: Any = "*") -> Element:
    """An element that differs from metric to metric: the tag name with this value."""
    if not name:
        raise ValueError("a dynamic element needs a name: it is the key of a tag")
    return Element(value if isinstance(value, str) else _text(value), name, description)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Namespace:
    """The name of a metric: elements that are static, or dynamic and then a tag."""

    __slots__ = ("_elements",)

    def __init__(self, *elements: Union[str, Element, Iterable[Union[str, Element]]]) -> None:
        self._elements: list[Element] = []
        for element in elements:
            if isinstance(element, (str, Element)):
                self._elements.append(_element(element))
            else:
                self._elements += map(_element, element)

    def add_static_element(self, value: str) -> Namespace:
        """Adds an element that is the same for every metric, and returns the namespace."""
        return self._add(_element(value))

    def add_dynamic_element(self, name: str, description: str = "", value: Any = "*") -> Namespace:
        """Adds an element that is a tag, and returns the namespace."""
        return self._add(dynamic(name, description, value))

    def _add(self, element: Element) -> Namespace:
        self._elements.append(element)
        return self

    def split(self) -> tuple[str, str, dict[str, str]]:
        """The series, the field and the tags that it stands for."""
        static, tags = [], {}
        for value, name, _ in self._elements:
            if name:
                tags[name] = value
            else:
                static.append(value)
        if not static:
            raise ValueError(f"namespace {self}: want at least one static element, the series")
        if len(static) == 1:
            return static[0], "value", tags
        return "_".join(static[:-1]), static[-1], tags

    def __iter__(self) -> Iterator[Element]:
        return iter(self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, i: Any) -> Any:
        return self._elements[i]

    def __eq__(self, other: object) -> bool:
        return self._elements == other._elements if isinstance(other, Namespace) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "".join("/" + e.value for e in self._elements)

    def __repr__(self) -> str:
        return f"Namespace({', '.join(repr(tuple(e)) if e.name else repr(e.value) for e in self._elements)})"


class _Shared(Namespace):
    """The namespace of all metrics that came as one field of a group."""

    __slots__ = ()

    def _add(self, element: Element) -> Namespace:
        raise TypeError("the namespace of a metric that came in a batch belongs to others too: give the metric one of its own, "
                        "metric.namespace = Namespace(metric.namespace, ...)")


def _element(element: Any) -> Element:
    if isinstance(element, Element):
        return element
    if not isinstance(element, str) or not element:
        raise TypeError(f"element {element!r} of a namespace: want text that is not empty, or dynamic(...)")
    return Element(element)


class Metric:
    """One value of a namespace at a time.

    A metric without a timestamp has that of the collection it is yielded in, so those of one collection are one point; else
    the time when somebody first asks. timestamp takes nanoseconds as int, seconds as float, or a datetime, and gives
    nanoseconds. unit and description belong to a catalog: they do not travel with the values."""

    __slots__ = ("data", "unit", "description", "version", "config", "_namespace", "_tags", "_timestamp", "_field", "_row", "_own")

    def __init__(self, namespace: Union[Namespace, Iterable[Union[str, Element]]], data: Any = None, *, timestamp: Any = None,
                 tags: dict[str, str] | None = None, unit: str = "", description: str = "", version: Any = 1,
                 config: Any = None) -> None:
        self.data = data
        self.unit = unit
        self.description = description
        self.version = version
        self.config = {} if config is None else config
        self._field: _Field | None = None
        self._own = 0
        self.namespace = namespace
        self.tags = tags
        self.timestamp = timestamp

    # A metric of a batch has only its data and where it came from; the rest is made when somebody asks.
    def __getattr__(self, name: str) -> Any:
        if name == "_tags":
            self.tags = self._field.origin.tags(self._row)
            return self._tags
        if name == "_timestamp":
            return self._field.origin.group.times[self._row]
        if name == "config":
            self.config = {}
            return self.config
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise AttributeError(f"a Metric has no {name}")

    @property
    def namespace(self) -> Namespace:
        """What it is a value of."""
        return self._namespace

    @namespace.setter
    def namespace(self, namespace: Union[Namespace, Iterable[Union[str, Element]]]) -> None:
        self._namespace = _namespace(namespace)
        self._own |= _NAME

    @property
    def tags(self) -> dict[str, str]:
        """What tells it from others of its namespace. They may be changed."""
        return self._tags

    @tags.setter
    def tags(self, tags: dict[str, str] | None) -> None:
        self._tags = {} if tags is None else dict(tags)
        self._own |= _TAGS

    @property
    def timestamp(self) -> int:
        """Its time, in nanoseconds since 1970."""
        if self._timestamp is None:
            self._timestamp = now_ns()
        return self._timestamp

    @timestamp.setter
    def timestamp(self, timestamp: Any) -> None:
        self._timestamp = None if timestamp is None else _nanoseconds(timestamp)
        self._own |= _TIME

    def __repr__(self) -> str:
        return f"Metric({str(self.namespace)!r}, {self.data!r}, timestamp={self._timestamp}, tags={self.tags!r})"


_TAGS, _NAME, _TIME = 1, 2, 4  # what a metric has of its own, whatever it came with
_DEFAULTS = {"unit": "", "description": "", "version": 1}


def _namespace(namespace: Any) -> Namespace:
    if isinstance(namespace, Namespace):
        return namespace
    return Namespace(*(namespace.strip("/").split("/") if isinstance(namespace, str) else namespace))


def _nanoseconds(stamp: Any) -> int:
    if isinstance(stamp, float):
        return round(stamp * 1e6) * 1000
    if isinstance(stamp, datetime.datetime):
        return (stamp.astimezone(datetime.timezone.utc) - _EPOCH) // _MICROSECOND * 1000
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        return stamp
    raise TypeError(f"timestamp {stamp!r}: want nanoseconds as int, seconds as float, or a datetime")


class _Origin:
    """A group that metrics came from, as it was then."""

    __slots__ = ("group", "_tags")

    def __init__(self, group: Group) -> None:
        self.group = group.part(range(len(group)))
        self._tags: list[dict[str, str]] | None = None

    def tags(self, row: int) -> dict[str, str]:
        """The tags of a point, the same dict each time: not to be changed."""
        if self._tags is None:
            self._tags = list(self.group.tag_rows())
        return self._tags[row]


class _Field:
    """What the metrics of one field of a group share."""

    __slots__ = ("origin", "name", "letter")

    def __init__(self, origin: _Origin, name: str, letter: str) -> None:
        self.origin, self.name, self.letter = origin, name, letter

    def __deepcopy__(self, memo: Any) -> _Field:
        return self  # it never changes, and by it the copies of metrics are of one point still


def from_batch(batch: Batch) -> list[Metric]:
    """Each field of each point as a metric of the namespace (series, field)."""
    out: list[Metric] = []
    new, add = Metric.__new__, out.append
    for group in batch.groups:
        origin = _Origin(group)
        fields = [_Field(origin, name, letter) for name, letter in zip(group.fields, group.types)]
        shared = [(field, _Shared(group.series, field.name)) for field in fields]
        values = zip(*[group.column(name) for name in group.fields])
        for row, row_values in enumerate(values):
            for (field, namespace), value in zip(shared, row_values):
                if value is None:
                    continue
                metric = new(Metric)
                metric.data = value
                metric._field = field
                metric._namespace = namespace
                metric._row = row
                metric._own = 0
                add(metric)
    return out


def add_metrics(batch: Batch, metrics: Iterable[Metric]) -> None:
    """Adds metrics as points. Those without data are left out."""
    kept: dict[_Field, list[Metric]] = defaultdict(list)
    others: list[Metric] = []
    for metric in metrics:
        (others if metric._own > _TAGS else kept[metric._field]).append(metric)
    origins: dict[_Origin, dict[_Field, list[Metric]]] = defaultdict(dict)
    for field, members in kept.items():
        origins[field.origin][field] = members
    for origin, fields in origins.items():
        if not _regrouped(batch, origin, fields):
            others.extend(m for members in fields.values() for m in members)
    _join(batch, others)


def _regrouped(batch: Batch, origin: _Origin, kept: dict[_Field, list[Metric]]) -> bool:
    """Adds what is left of a group as a group again. False: a point has a field twice, or its metrics have different tags, or the
    values of a field are of several types."""
    rows = {field: [m._row for m in metrics] for field, metrics in kept.items()}
    values: dict[_Field, list[Any]] = {field: [m.data for m in metrics] for field, metrics in kept.items()}
    every, *others = rows.values()
    if any(some != every for some in others):
        every = sorted(set(every).union(*others))
        for field, some in rows.items():
            by_row = dict(zip(some, values[field]))
            if len(by_row) < len(some):
                return False
            values[field] = [by_row.get(row) for row in every]
    columns = {field.name: _typed(field.letter, values[field]) for field in kept}
    tags = _tags(origin, kept)
    if None in columns.values() or tags is None:
        return False
    group = origin.group.part(every)
    group.field_columns = {name: column for name, (column, _) in columns.items()}
    if tags:
        group.tags = {}
        group.tag_columns = tag_columns([tags[row] for row in every])
    batch.drops.add("nan", sum(nan for _, nan in columns.values()))
    batch.groups.append(group)
    return True


def _tags(origin: _Origin, kept: dict[_Field, list[Metric]]) -> dict[int, dict[str, str]] | None:
    """The tags of each point that is left, nothing where they are as they were. None: the metrics of a point differ in them."""
    if not any(m._own for metrics in kept.values() for m in metrics):
        return {}
    found: dict[int, dict[str, str]] = {}
    changed = False
    for metrics in kept.values():
        for metric in metrics:
            row = metric._row
            tags = metric._tags if metric._own else origin.tags(row)
            first = found.setdefault(row, tags)
            if first is tags:
                changed = changed or tags != origin.tags(row)
            elif first != tags:
                return None
    return found if changed else {}


def _typed(letter: str, values: list[Any]) -> tuple[Column, int] | None:
    """Values as a column, of the type letter if that is theirs, and how many NaN were left out. None: of several types."""
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) == 1:
        letter = letter_as(kinds.pop(), letter)
    elif kinds and (letter, kinds) != ("f", {int, float}):
        return None
    if not letter or letter in "iu" and not as_told(letter, values):
        return None
    return mixed(letter, values)


def _join(batch: Batch, metrics: Iterable[Metric]) -> None:
    """Adds metrics by what they say of themselves, those that belong together as one point."""
    points: dict[tuple, list[Point]] = {}
    now = batch._now()
    last: dict[str, str] | None = None  # metrics of one point mostly follow each other
    key: Any = None
    for metric in metrics:
        if metric.data is None:
            continue
        series, name, tags = _place(metric)
        if tags != last:
            last, key = tags, _hashable(tags)
        at = metric._timestamp
        same = points.setdefault((series, now if at is None else at, key), [])
        for point in same:
            if name not in point.fields:
                break
        else:
            point = Point(series, now if at is None else at, tags, {}, Types())
            same.append(point)
        point.fields[name] = metric.data
        if metric._field is not None:
            point.types[name] = metric._field.letter
    for same in points.values():
        batch.extend(same)


def _place(metric: Metric) -> tuple[str, str, dict[str, str]]:
    """The series, the field and all tags of a metric."""
    if metric._own & _NAME:
        series, name, named = metric._namespace.split()
        return series, name, {**metric._tags, **named} if named else metric._tags
    return metric._field.origin.group.series, metric._field.name, metric._tags


def _hashable(tags: dict[str, Any]) -> Any:
    """A key that equal tags have, in whatever order."""
    try:
        return frozenset(tags.items())
    except TypeError:
        return frozenset((key, str(value)) for key, value in tags.items())
