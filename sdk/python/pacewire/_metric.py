"""Metrics: one value under a namespace, as authors of Snap plugins know them, and what they are as points.

The last static element of a namespace is the field, those before it, joined by "_", are the series; one alone is the series
of a field "value". Dynamic elements are tags. Metrics of one series with the same time and tags are one point."""

from __future__ import annotations

import datetime
import time
from typing import Any, Iterable, Iterator, NamedTuple, Sequence, Union

from ._batch import Batch
from ._group import Types

__all__ = ["Element", "Metric", "Namespace", "dynamic", "from_batch", "stamp", "to_batch"]

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

    __slots__ = ("_elements", "_shared")

    def __init__(self, *elements: Union[str, Element, Iterable[Union[str, Element]]]) -> None:
        self._shared = False
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
        if self._shared:
            raise TypeError("the namespace of a metric that came in a batch belongs to others too: give the metric one of its own, "
                            "metric.namespace = Namespace(metric.namespace, ...)")
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


def _element(element: Any) -> Element:
    if isinstance(element, Element):
        return element
    if not isinstance(element, str) or not element:
        raise TypeError(f"element {element!r} of a namespace: want text that is not empty, or dynamic(...)")
    return Element(element)


class Metric:
    """One value of a namespace at a time.

    A metric without a timestamp has that of the collection it is yielded in, so those of one collection are one point; else the
    time when somebody first asks. timestamp takes nanoseconds as int, seconds as float, or a datetime, and gives nanoseconds.
    unit and description belong to a catalog: they do not travel with the values."""

    __slots__ = ("data", "unit", "description", "version", "config", "_namespace", "_tags", "_timestamp", "_row", "_column", "_own")

    def __init__(self, namespace: Union[Namespace, Iterable[Union[str, Element]]], data: Any = None, *, timestamp: Any = None,
                 tags: dict[str, str] | None = None, unit: str = "", description: str = "", version: Any = 1,
                 config: Any = None) -> None:
        self._row = None
        self._own = 0
        self.data = data
        self.unit = unit
        self.description = description
        self.version = version
        self.config = {} if config is None else config
        self._namespace = _namespace(namespace)
        self._tags = {} if tags is None else dict(tags)
        self._timestamp = None if timestamp is None else _nanoseconds(timestamp)

    # A metric of a batch has only its data and where it came from; the rest is made when somebody asks.
    def __getattr__(self, name: str) -> Any:
        if name == "_tags":
            self._own |= _TAGS
            self._tags = dict(self._row.tags)  # the other metrics of the point have their own
            return self._tags
        if name == "_timestamp":
            return self._row.time_ns
        if name == "_namespace":
            return self._column.namespace
        if name == "config":
            self.config = {}
            return self.config
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise AttributeError(f"a Metric has no {name}")

    @property
    def namespace(self) -> Namespace:
        return self._namespace

    @namespace.setter
    def namespace(self, namespace: Union[Namespace, Iterable[Union[str, Element]]]) -> None:
        self._namespace = _namespace(namespace)
        self._own |= _NAME

    @property
    def tags(self) -> dict[str, str]:
        return self._tags

    @tags.setter
    def tags(self, tags: dict[str, str] | None) -> None:
        self._tags = {} if tags is None else dict(tags)
        self._own |= _TAGS

    @property
    def timestamp(self) -> int:
        if self._timestamp is None:
            self._timestamp = _now()
        return self._timestamp

    @timestamp.setter
    def timestamp(self, timestamp: Any) -> None:
        self._timestamp = None if timestamp is None else _nanoseconds(timestamp)
        self._own |= _NAME

    def __repr__(self) -> str:
        return f"Metric({str(self.namespace)!r}, {self.data!r}, timestamp={self._timestamp}, tags={self.tags!r})"


_TAGS, _NAME = 1, 2  # what a metric of a batch has of its own by now
_DEFAULTS = {"unit": "", "description": "", "version": 1}


def _namespace(namespace: Any) -> Namespace:
    if isinstance(namespace, Namespace):
        return namespace
    return Namespace(*(namespace.strip("/").split("/") if isinstance(namespace, str) else namespace))


def _now() -> int:
    return time.time_ns() // 1000 * 1000


def _nanoseconds(stamp: Any) -> int:
    if isinstance(stamp, float):
        return round(stamp * 1e6) * 1000
    if isinstance(stamp, datetime.datetime):
        return (stamp.astimezone(datetime.timezone.utc) - _EPOCH) // _MICROSECOND * 1000
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        return stamp
    raise TypeError(f"timestamp {stamp!r}: want nanoseconds as int, seconds as float, or a datetime")


class _Row:
    """What the metrics of one point share."""

    __slots__ = ("series", "time_ns", "tags", "types")

    def __init__(self, series: str, time_ns: int, tags: dict[str, str], types: Types) -> None:
        self.series, self.time_ns, self.tags, self.types = series, time_ns, tags, types


class _Column:
    """What the metrics of one field share."""

    __slots__ = ("name", "namespace")

    def __init__(self, series: str, name: str) -> None:
        self.name = name
        self.namespace = Namespace(series, name)
        self.namespace._shared = True


def stamp(metric: Metric, time_ns: int) -> None:
    """Gives a metric without a timestamp this one."""
    if metric._timestamp is None:
        metric._timestamp = time_ns


def from_batch(batch: Batch) -> list[Metric]:
    """Each field of each point as a metric of the namespace (series, field)."""
    out: list[Metric] = []
    new, add = Metric.__new__, out.append
    for group in batch.groups:
        columns = [_Column(group.series, name) for name in group.fields]
        types = Types(zip(group.fields, group.types))
        values = zip(*[group.column(name) for name in group.fields])
        for at, tags, row_values in zip(group.times, group.tag_rows(), values):
            row = _Row(group.series, at, tags, types)
            for column, value in zip(columns, row_values):
                if value is None:
                    continue
                metric = new(Metric)
                metric.data = value
                metric._row = row
                metric._column = column
                metric._own = 0
                add(metric)
    return out


def to_batch(metrics: Iterable[Metric], host: str = "", time_ns: int | None = None) -> Batch:
    """Metrics as points. Those without data are left out, those without a timestamp are of time_ns, or of now."""
    batch = Batch(host)
    batch.time_ns = _now() if time_ns is None else time_ns
    others: list[Metric] = []
    row = tags = None
    fields: dict[str, Any] = {}
    for metric in metrics:
        if metric._row is None or metric._own > _TAGS:
            others.append(metric)
            continue
        own = metric._tags if metric._own else metric._row.tags
        name = metric._column.name
        if metric._row is row and (own is tags or own == tags) and name not in fields:
            fields[name] = metric.data
            continue
        if row is not None:
            batch._put(row.series, row.time_ns, tags, fields, row.types)
        row, tags, fields = metric._row, own, {name: metric.data}
    if row is not None:
        batch._put(row.series, row.time_ns, tags, fields, row.types)
    if others:
        _join(batch, others)
    return batch


def _join(batch: Batch, metrics: Sequence[Metric]) -> None:
    """Adds metrics that have a name of their own, those that belong together as one point."""
    points: dict[tuple, list[dict[str, Any]]] = {}
    for metric in metrics:
        if metric.data is None:
            continue
        series, field, named = metric._namespace.split()
        tags = {**metric._tags, **named} if named else metric._tags
        key = (series, metric._timestamp, *sorted((str(k), v) for k, v in tags.items()))
        same = points.setdefault(key, [])
        for fields in same:
            if field not in fields:
                fields[field] = metric.data
                break
        else:
            same.append({field: metric.data})
    for (series, at, *tags), same in points.items():
        for fields in same:
            batch._put(series, batch._now() if at is None else at, dict(tags), fields, None)
