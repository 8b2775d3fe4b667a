"""The kinds of plugins: what an author extends."""
from __future__ import annotations

import logging
import re
import sys
import threading
from typing import Any, Callable, Iterable, NamedTuple, Sequence

from ._batch import Batch, Point
from ._clock import now_ns
from ._config import ConfigMap, ConfigPolicy
from ._gather import Gather
from ._metric import Metric

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)([-+].*)?\Z")


def point(series: str, tags: dict[str, str] | None = None, /, *, time_ns: int | None = None, **fields: Any) -> Point:
    """A point by its series, tags and fields: ``pw.point("fan", {"slot": "a"}, rpm=900)``. Its time is that of the tick."""
    return Point(series, time_ns, dict(tags or {}), fields)


class Series(NamedTuple):
    """A series of a catalog, for who thinks in points; see :func:`series`."""

    series: str
    help: str
    tags: dict[str, str]
    fields: dict[str, str]
    types: dict[str, str]


def series(name: str, help: str = "", *, tags: dict[str, str] | None = None, fields: dict[str, str] | None = None,
           types: dict[str, str] | None = None) -> Series:
    """Describes a series that a plugin emits: what each tag means, the unit of each field, and its type where it is no float
    (i integer, u unsigned, b boolean, s string)."""
    return Series(name, help, dict(tags or {}), dict(fields or {}), dict(types or {}))


class Event(NamedTuple):
    """One point of an event, as a function behind ``@app.on`` gets it. What happened to a host has the plugin ``agent``."""

    kind: str
    host: str
    plugin: str
    time_ns: int
    series: str
    tags: dict[str, str]
    fields: dict[str, Any]

    @property
    def message(self) -> str:
        """What the event says, if it says it."""
        return str(self.fields.get("message", ""))

    def is_of(self, name: str) -> bool:
        """Whether name means this event: its kind, or its kind behind ``host_`` or ``plugin_`` when it happened to one of these."""
        whom = "host_" if self.plugin == "agent" else "plugin_"
        return name in (self.kind, whom + self.kind)


class Plugin:
    """What all kinds share. Extend one of the kinds below, not this.

    Each method of yours may be a plain function, a generator, an ``async def`` or an async generator. Plain ones run in a
    thread of their own, so that heartbeats go on whatever they do; one call runs at a time unless the operator wants more.

    ``config`` of the class is its :class:`ConfigPolicy`; of an instance at work it is the :class:`ConfigMap` in force.
    """

    kind = ""
    facts = False
    stream_only = False
    summary = ""
    config: Any = ConfigPolicy()

    name: str
    host = "localhost"
    dir = ""
    log = logging.getLogger("pacewire")
    every = ""
    """What the interval could be, for examples; the operator's word counts."""
    on: Sequence[str] = ()
    """Kinds of events that the plugin is made for, for examples likewise."""

    def __init__(self, name: str, version: str | int = "0.0.0"):
        if not name:
            raise ValueError("a plugin needs a name")
        self.program = self.name = name
        self.version = semver(version)
        self.stopping = threading.Event()
        """Is set when the work under this config ends."""
        self._send_event: Callable[[str, Batch], None] | None = None

    # What an author may write.

    def get_config_policy(self) -> ConfigPolicy:
        """The settings. Unless you write it, those of the class attribute ``config``."""
        own = self.__dict__.get("config")  # a policy made in __init__; at work it is the config in force
        policy: ConfigPolicy = own if isinstance(own, ConfigPolicy) else type(self).config
        return policy

    def update_catalog(self, config: ConfigMap) -> Iterable[Any] | None:
        """Describes what the plugin emits: metrics without data, or :func:`series`."""
        return ()

    def start(self) -> Any:
        """Is called with each config before the first call; ``self.config`` is set. NoData: there is nothing to do here."""

    def stop(self) -> Any:
        """Is called after the last call under a config, also when start has failed."""

    def health(self) -> Any:
        """Is called now and then. What it returns, if anything, or raises is shown as the plugin's trouble."""

    # What an author may call.

    def event(self, kind: str, *points: Any) -> None:
        """Sends points (metrics, or what :func:`point` returns) as one event of a kind, and returns when it is stored.

        Call it from a plain function; in an ``async def`` say ``await asyncio.to_thread(self.event, ...)``.
        """
        if self._send_event is None:
            raise RuntimeError("events can be sent while the plugin is at work only")
        gather = Gather(self.host, now_ns())
        for p in points:
            gather.add(p)
        self._send_event(kind, gather.batch())

    def run(self, args: Sequence[str] | None = None) -> None:
        """Does what the command line says, and ends the process: the last line of a plugin's program."""
        from ._main import main

        sys.exit(main(self, args))

    start_plugin = run

    async def serve(self, bus: Any, *, host: str = "", name: str = "", creds: str = "", dir: str = "") -> None:
        """Serves in a loop of yours, until the agent ends it or the task is cancelled, which drains it.

        bus is an address, or a client of the package nats-py that is connected; that stays open. Who names no dir keeps no state.
        """
        from ._life import serve

        await serve(self, bus, host, name, creds, dir)


class Collector(Plugin):
    """Is asked for points at each interval."""

    kind = "collector"

    def collect(self, metrics: list[Metric]) -> Any:
        """Returns or yields metrics with data (or points). metrics are those of the catalog, each with its config.

        What was yielded before an error is sent: half an answer is worth having.
        """
        raise NotImplementedError


class StreamCollector(Plugin):
    """Speaks when it has something."""

    kind = "collector"
    stream_only = True

    def stream(self, metrics: list[Metric]) -> Any:
        """Yields metrics or points for ever. A generator is ended at its next yield; one that waits for long looks at
        ``self.stopping``, and an async one is cancelled."""
        raise NotImplementedError


class Processor(Plugin):
    """Is given each batch of its inputs, and sends on what it returns. What it leaves out is dropped."""

    kind = "processor"

    def process(self, metrics: list[Metric], config: ConfigMap) -> Any:
        """Returns or yields the metrics to send on."""
        raise NotImplementedError

    def process_batch(self, batch: Batch, config: ConfigMap) -> Any:
        """Write this instead of process to work on columns: several times as fast. Returns a batch, or None to drop all."""
        raise NotImplementedError


class Publisher(Plugin):
    """Is given each batch of its inputs, and carries it out.

    An ordinary error has the same batch given again, for ever: raise Permanent for what will never be taken.
    """

    kind = "publisher"

    def publish(self, metrics: list[Metric], config: ConfigMap) -> Any:
        """Returns None once the sink has confirmed all of it, or those of the metrics that the sink refuses for good."""
        raise NotImplementedError

    def publish_batch(self, batch: Batch, config: ConfigMap) -> Any:
        """Write this instead of publish to work on columns. Returns None, or a batch of what the sink refuses for good."""
        raise NotImplementedError

    def publish_events(self, events: list[Event], config: ConfigMap) -> Any:
        """Write this instead of publish for what is given events: several at a time where they wait together."""
        raise NotImplementedError


class DictPlugin(Plugin):
    """What InfoPlugin and MonitorPlugin share: collect returns a dict, between initialize and cleanup. Extend one of them."""

    kind = "collector"

    def initialize(self) -> Any:
        """Makes ready. False: there is nothing to do here."""

    def collect(self) -> Any:
        """Returns a dict."""
        raise NotImplementedError

    def cleanup(self) -> Any:
        """Is called at the end, also when initialize has failed."""


class InfoPlugin(DictPlugin):
    """Collects facts that hardly change: at start, each hour, and when somebody asks for a refresh.

    They are JSON values. Leave out what changes all the time: equal facts are sent once.
    """

    facts = True


class MonitorPlugin(DictPlugin):
    """Collects values at each interval. Numbers, texts and booleans become fields of one point; a dict or a list of them within
    becomes a point each."""


def semver(version: str | int) -> str:
    """A semantic version; Snap's 1 is 1.0.0."""
    if isinstance(version, int):
        return f"{version}.0.0"
    text = version + ".0.0" if version.isdigit() else version
    if not _VERSION.match(text):
        raise ValueError(f"version {version!r}: write it like 1.0.0, or as a whole number")
    return text


def overridden(plugin: Plugin, method: str) -> bool:
    """Whether an author has written this method."""
    own = getattr(type(plugin), method, None)
    if method in plugin.__dict__:
        return True
    return all(own is not getattr(kind, method, None) for kind in (Plugin, Collector, StreamCollector, Processor, Publisher))
