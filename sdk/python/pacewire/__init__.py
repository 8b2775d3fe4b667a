"""pacewire: plugins in Python that collect, process and publish points.

Extend :class:`Collector`, :class:`StreamCollector`, :class:`Processor`, :class:`Publisher`, :class:`InfoPlugin` or
:class:`MonitorPlugin`, or decorate functions of an :class:`App`; then call ``run()``. docs/python.md has a page on all of it.
"""
from __future__ import annotations

__version__ = "1.0.0"

from ._batch import Batch, BatchError, Group, Point
from ._app import App
from ._config import (
    BoolRule, ConfigMap, ConfigPolicy, DurationRule, FloatRule, IntegerRule, ListRule, Rule, StringRule,
)
from ._errors import After, ConfigError, Denied, NoData, Permanent, TooLarge
from ._kinds import (
    Collector, Event, InfoPlugin, MonitorPlugin, Plugin, Processor, Publisher, Series, StreamCollector, point, series,
)
from ._metric import Metric, Namespace, dynamic

__all__ = [
    "After", "App", "Batch", "BatchError", "BoolRule", "Collector", "ConfigError", "ConfigMap", "ConfigPolicy", "Denied",
    "DurationRule", "Event", "FloatRule", "Group", "InfoPlugin", "IntegerRule", "ListRule", "Metric", "MonitorPlugin", "Namespace",
    "NoData", "Permanent", "Plugin", "Point", "Processor", "Publisher", "Rule", "Series", "StreamCollector", "StringRule",
    "TooLarge", "dynamic", "point", "series",
]
