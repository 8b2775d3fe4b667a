"""A plugin out of decorated functions, for who would rather not write a class."""
from __future__ import annotations

import inspect
import logging
import threading
from typing import Any, Callable, Iterable, Sequence, TypeVar

from ._config import ConfigPolicy, Rule, seconds
from ._kinds import Collector, DictPlugin, Event, InfoPlugin, MonitorPlugin, Plugin, Processor, Publisher, StreamCollector

F = TypeVar("F", bound=Callable[..., Any])


class App:
    """One plugin, made of functions::

        app = pw.App("fan", "1.0.0", config=[pw.IntegerRule("limit", default=9000)])

        @app.collect(every="10s")
        def fans(config):
            yield pw.point("fan", {"slot": "a"}, rpm=900)

        app.run()

    A function takes what it names: ``config``, the settings in force; ``batch``, the points as columns; its first other argument
    is what the kind is given: metrics, or events. It may be ``async``, a generator, or both. A plugin is of one kind.
    """

    def __init__(self, name: str, version: str | int = "0.0.0", *, config: ConfigPolicy | Iterable[Rule] = (), summary: str = "",
                 catalog: Iterable[Any] = ()):
        self.name, self.version, self.summary = name, version, summary
        self.policy = config if isinstance(config, ConfigPolicy) else ConfigPolicy(*config)
        self.catalog = list(catalog)
        self._plugin: Plugin | None = None
        self._handlers: list[_Handler] = []

    # What a function does.

    def collect(self, f: Any = None, *, every: str = "") -> Any:
        """Is asked for points at each interval. every is the one that examples show: the operator decides."""
        return self._of(Collector, "collect", f, every)

    def stream(self, f: F) -> F:
        """Yields points for ever."""
        return self._of(StreamCollector, "stream", f)

    def process(self, f: F) -> F:
        """Is given each batch, and returns or yields what is sent on."""
        return self._of(Processor, "process_batch" if _takes(f, "batch") else "process", f)

    def publish(self, f: F) -> F:
        """Is given each batch, and carries it out; it may return the points that are refused for good."""
        return self._of(Publisher, "publish_batch" if _takes(f, "batch") else "publish", f)

    def info(self, f: F) -> F:
        """Returns facts that hardly change, a dict."""
        return self._of(InfoPlugin, "collect", f)

    def monitor(self, f: Any = None, *, every: str = "") -> Any:
        """Returns values as a dict, at each interval."""
        return self._of(MonitorPlugin, "collect", f, every)

    def on(self, *kinds: str) -> Callable[[F], F]:
        """Is given events of these kinds, several at a time where they wait together; without a kind, all that come.

        ``host_down`` is the kind ``down`` where it happened to a host, ``plugin_down`` where it happened to a plugin, ``down``
        either. The config says which events come at all: ``on: [down]``. Those that no function takes are left out.
        """
        def add(f: F) -> F:
            if not self._handlers:
                self._become(Publisher, f)
            elif not isinstance(self._plugin, Publisher):
                raise self._taken()
            self._handlers.append(_Handler(kinds, f))
            self.plugin.on = sorted({kind_of(name) for h in self._handlers for name in h.kinds})
            setattr(self.plugin, "publish_events", _dispatcher(self._handlers))
            return f
        return add

    def start(self, f: F) -> F:
        """Is called with each config before the work begins."""
        return self._hook("start", f)

    def stop(self, f: F) -> F:
        """Is called when the work has ended."""
        return self._hook("stop", f)

    def health(self, f: F) -> F:
        """Is asked now and then; what it returns or raises is shown as trouble."""
        return self._hook("health", f)

    # What functions may use.

    @property
    def plugin(self) -> Plugin:
        """The plugin that the functions make."""
        if self._plugin is None:
            raise ValueError(f"{self.name} does nothing yet: decorate a function with @app.collect, @app.process or the like")
        return self._plugin

    @property
    def config(self) -> Any:
        """The settings in force."""
        return self.plugin.config

    @property
    def log(self) -> logging.Logger:
        """The log of the plugin."""
        return self.plugin.log

    @property
    def host(self) -> str:
        """The host that points are about."""
        return self.plugin.host

    @property
    def dir(self) -> str:
        """A folder for state."""
        return self.plugin.dir

    @property
    def stopping(self) -> threading.Event:
        """Is set when the work under this config ends."""
        return self.plugin.stopping

    def event(self, kind: str, *points: Any) -> None:
        """Sends points as one event; see :meth:`Plugin.event`."""
        self.plugin.event(kind, *points)

    def run(self, args: Sequence[str] | None = None) -> None:
        """Does what the command line says, and ends the process: the last line of a plugin's program."""
        self.plugin.run(args)

    async def serve(self, bus: Any, **options: str) -> None:
        """Serves in a loop of yours; see :meth:`Plugin.serve`."""
        await self.plugin.serve(bus, **options)

    # How it becomes a plugin.

    def _of(self, kind: type[Plugin], method: str, f: Any, every: str = "") -> Any:
        if f is None:
            return lambda g: self._of(kind, method, g, every)
        if every:
            seconds(every)  # one that cannot be read is told at the decorator
        plugin = self._become(kind, f)
        plugin.every = every
        given = () if isinstance(plugin, DictPlugin) else ("batch" if method.endswith("_batch") else "metrics",)
        setattr(plugin, method, _fitted(plugin, f, (*given, "config")))
        return f

    def _become(self, kind: type[Plugin], f: Any) -> Plugin:
        if self._plugin is not None:
            raise self._taken()
        self._plugin = plugin = kind(self.name, self.version)
        plugin.summary = self.summary or _first_sentence(f)
        setattr(plugin, "get_config_policy", lambda: self.policy)
        setattr(plugin, "update_catalog", lambda config: self.catalog)
        return plugin

    def _taken(self) -> ValueError:
        return ValueError(f"{self.name} is a {self.plugin.kind} already: one process is one plugin")

    def _hook(self, name: str, f: F) -> F:
        if self._plugin is None:
            raise ValueError(f"decorate what {self.name} does first, then its @app.{name}")
        setattr(self._plugin, name, _fitted(self._plugin, f, ("config",)))
        return f


def kind_of(name: str) -> str:
    """The kind of event that a name of one means, as ``on:`` of a config has it."""
    for whom in ("host_", "plugin_"):
        if name.startswith(whom):
            return name[len(whom):]
    return name


def _takes(f: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(f).parameters


def _first_sentence(f: Any) -> str:
    return " ".join((inspect.getdoc(f) or "").split("\n\n")[0].split())


def _is_async(f: Any) -> bool:
    return inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f)


def _wanted(f: Any, names: Sequence[str]) -> list[str]:
    """Which of the things with these names f is given: those that it names, and as its first other argument the first."""
    parameters = [p for p in inspect.signature(f).parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    free = [] if any(p.name == names[0] for p in parameters) else [names[0]]
    out = []
    for p in parameters:
        if p.name in names:
            out.append(p.name)
        elif free:
            out.append(free.pop())
        elif p.default is p.empty:
            raise TypeError(f"{getattr(f, '__name__', f)} wants {p.name!r}: it can be given {', '.join(names)}")
        else:
            break
    return out


def _fitted(plugin: Plugin, f: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """f as a method of its kind, which is given what has these names."""
    wanted = _wanted(f, names)

    def method(*args: Any) -> Any:
        given = {"config": plugin.config, **dict(zip(names, args))}
        return f(*[given[name] for name in wanted])

    setattr(method, "is_async", _is_async(f))
    return method


class _Handler:
    """A function that is given events of some kinds; without a kind, of all."""

    def __init__(self, kinds: tuple[str, ...], f: Any):
        self.kinds, self.is_async = kinds, _is_async(f)
        self._f, self._wanted = f, _wanted(f, ("events", "config"))

    def __call__(self, events: list[Event], config: Any) -> Any:
        mine = [e for e in events if not self.kinds or any(map(e.is_of, self.kinds))]
        given = {"events": mine, "config": config}
        return self._f(*[given[name] for name in self._wanted]) if mine else None


def _dispatcher(handlers: list[_Handler]) -> Callable[[list[Event], Any], Any]:
    """What calls all handlers. It is plain where all of them are, so that it runs in a thread."""
    def plain(events: list[Event], config: Any) -> None:
        for handler in handlers:
            handler(events, config)

    async def mixed(events: list[Event], config: Any) -> None:
        for handler in handlers:
            result = handler(events, config)
            if inspect.isawaitable(result):
                await result

    return mixed if any(h.is_async for h in handlers) else plain
