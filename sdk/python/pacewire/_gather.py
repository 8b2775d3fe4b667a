"""What an author returns, as a batch."""
from __future__ import annotations

import math
from typing import Any

from ._batch import Batch, Point
from ._metric import Metric, add_metrics

_SCALARS = (bool, int, float, str)


class Gather:
    """Takes metrics, points and batches of one host, and makes one batch of them."""

    def __init__(self, host: str, at_ns: int | None = None):
        self._metrics: list[Metric] = []
        self._batch = Batch(host)
        self._batch.time_ns = at_ns

    def add(self, item: Any) -> None:
        """Takes one item; one without a time gets that of the tick."""
        if isinstance(item, Metric):
            if item.data is None:
                raise TypeError(f"metric {item.namespace} has no data: give it some, or leave it out")
            self._metrics.append(item)
        elif isinstance(item, Point):
            self._batch.append(item)
        elif isinstance(item, Batch):
            self._batch.groups.extend(item.groups)
            for code, n in item.drops.items():
                self._batch.drops.add(code, n)
        elif isinstance(item, (list, tuple)):
            for one in item:
                self.add(one)
        else:
            raise TypeError(f"{type(item).__name__} is no metric: want pw.Metric(...), pw.point(...) or a batch of them")

    def add_at(self, item: Any, at_ns: int) -> None:
        """Takes one item of its own time."""
        if at_ns != self._batch.time_ns:
            self.batch()
            self._batch.time_ns = at_ns
        self.add(item)

    def batch(self) -> Batch:
        """All that was taken."""
        metrics, self._metrics = self._metrics, []
        add_metrics(self._batch, metrics)
        return self._batch


def points_of(series: str, values: Any, at_ns: int) -> list[Point]:
    """The points of what a MonitorPlugin returns: a dict of values, with dicts and lists of them within."""
    if not isinstance(values, dict):
        raise TypeError(f"collect returned a {type(values).__name__}: want a dict")
    stamp = values.get("timestamp")
    if isinstance(stamp, (int, float)) and not isinstance(stamp, bool) and 0 < stamp < 1e11:
        at_ns = round(stamp * 1e9)
    out: list[Point] = []
    _points(series, {k: v for k, v in values.items() if k != "timestamp"}, {}, at_ns, out)
    return out


def _points(series: str, values: dict[str, Any], tags: dict[str, str], at_ns: int, out: list[Point]) -> None:
    fields = {str(k): v for k, v in values.items() if isinstance(v, _SCALARS) and (not isinstance(v, float) or math.isfinite(v))}
    if fields:
        out.append(Point(series, at_ns, tags, fields))
    for key, value in values.items():
        name = f"{series}_{key}"
        if isinstance(value, dict):
            _points(name, value, tags, at_ns, out)
        elif isinstance(value, (list, tuple)):
            for n, item in enumerate(value):
                row = item if isinstance(item, dict) else {"value": item}
                _points(name, row, {**tags, "index": str(n)}, at_ns, out)
