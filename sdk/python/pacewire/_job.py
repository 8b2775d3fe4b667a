"""Work under one config: start, the loop of the kind, stop; tried again when it fails."""
from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable

from ._collect import collect, keep_facts, stream
from ._config import ConfigMap
from ._counters import Counters
from ._crew import Crew
from ._errors import ConfigError, Denied, NoData, Permanent, class_of, pause, text_of
from ._inventory import Entry
from ._kinds import DictPlugin, Plugin
from ._read import read
from ._waits import either

START_LIMIT, CALL_LIMIT = 30.0, 30.0
DRAIN_LIMIT = 10.0  # seconds for calls in progress and messages under way


@dataclass
class Place:
    """Where the work is done: what a job shares with the life around it, or with a run without a bus."""

    plugin: Plugin
    crew: Crew
    count: Counters
    log: logging.Logger
    outlet: Any
    source: Callable[[dict[str, Any], dict[str, Any]], Any]  # opens an input
    bury: Callable[..., Awaitable[None]]  # puts a batch into the dead letters
    suspects: Any
    state: Callable[[str], None] = lambda state: None
    failing: Callable[[bool], None] = lambda fails: None
    alarm: Callable[[BaseException | None], None] = lambda err: None
    keeps: Callable[[Entry], None] = lambda entry: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refresh: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    once: bool = False


class Job:
    """Work under one config, until it is stopped."""

    def __init__(self, place: Place, rev: int, work: dict[str, Any], config: ConfigMap):
        self.place, self.rev, self.work, self.config = place, rev, work, config
        self.draining = asyncio.Event()
        self.first: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.last_error = ""
        self._denied = False
        self.task = asyncio.ensure_future(self._keep_trying())

    @property
    def limit(self) -> float:
        """Seconds that one call may take."""
        return (self.work.get("timeout_ms") or self.work.get("every_ms") or 1000 * CALL_LIMIT) / 1000

    async def stop(self, limit: float = DRAIN_LIMIT) -> None:
        """Ends the work: no new call begins, the one in progress may end."""
        self.draining.set()
        self.place.plugin.stopping.set()
        done, _ = await asyncio.wait({self.task}, timeout=limit)
        if not done:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=1.0)

    async def call(self, f: Callable[..., Any], *args: Any, each: Callable[[Any], Any] | None = None) -> Any:
        """One call of the author's code, within its time."""
        return await self.place.crew.call(f, *args, limit=self.limit, each=each)

    def note(self, err: BaseException | None) -> None:
        """Takes the outcome of a call: counts an error, and logs it when it is another than the last."""
        place = self.place
        if err is None or isinstance(err, NoData):
            if self.last_error:
                self.last_error = ""
                place.failing(False)
            if self._denied:
                self._denied = False
                place.alarm(None)
            return
        place.count.fail(class_of(err), err)
        text = text_of(err)
        if text != self.last_error:
            self.last_error = text
            place.failing(True)
            place.log.warning("call failed", extra={"error": text}, exc_info=None if _told(err) else err)
        if isinstance(err, Denied):
            self._denied = True
            place.alarm(err)

    async def rest(self, seconds: float) -> bool:
        """Waits, and reports whether the job goes on."""
        await either(self.draining.wait(), seconds=seconds)
        return not self.draining.is_set()

    async def _keep_trying(self) -> None:
        attempt = 0
        while True:
            begun = time.monotonic()
            try:
                await self._once()
                if self.draining.is_set() or self.place.once:
                    return
                err: Exception = RuntimeError("the work ended by itself")
            except NoData as none:
                self._outcome(None)
                self.place.log.info("nothing to do here", extra={"reason": text_of(none)})
                self.place.state("idle")
                if self.place.once or not await self._awaits_refresh():
                    return
                attempt = 0
                continue
            except Exception as failed:
                err = failed
            self._outcome(err)
            if self.draining.is_set() or self.place.once:
                return
            attempt = 1 if time.monotonic() - begun > 60 else attempt + 1
            self._failed(err)
            if isinstance(err, (Permanent, ConfigError)):
                await self.draining.wait()
                return
            if not await self.rest(pause(err, attempt, random.random())):
                return

    def _outcome(self, err: BaseException | None) -> None:
        if not self.first.done():
            self.first.set_result(err)

    def _failed(self, err: Exception) -> None:
        self.place.count.fail("failed", err)
        self.place.log.error("work failed", extra={"error": text_of(err)}, exc_info=None if _told(err) else err)
        self.place.state("failed")

    async def _awaits_refresh(self) -> bool:
        asked = asyncio.ensure_future(self.place.refresh.get())
        await either(asked, self.draining.wait())
        if not asked.done():
            asked.cancel()
            return False
        asked.result().set_result(None)
        return True

    async def _once(self) -> None:
        """Start, the loop, stop."""
        place, plugin = self.place, self.place.plugin
        plugin.config = self.config
        plugin.stopping.clear()
        if self.draining.is_set():
            return
        try:
            await self._start()
            if not place.gate.is_set():
                place.state("ready")
                self._outcome(None)
                if not await self._opened():
                    return
            place.state("running")
            self._outcome(None)
            await self._loop()
        finally:
            plugin.stopping.set()
            await self._stop()

    async def _start(self) -> None:
        plugin = self.place.plugin
        hooks = [plugin.start] + ([plugin.initialize] if isinstance(plugin, DictPlugin) else [])
        for hook in hooks:
            if await self.place.crew.call(hook, limit=START_LIMIT) is False:
                raise NoData(f"{hook.__name__} says that there is nothing to do here")

    async def _stop(self) -> None:
        plugin = self.place.plugin
        for hook in [plugin.stop] + ([plugin.cleanup] if isinstance(plugin, DictPlugin) else []):
            try:
                await self.place.crew.call(hook, limit=DRAIN_LIMIT)
            except Exception as err:
                self.place.count.fail(class_of(err), err)
                self.place.log.warning("stop failed", extra={"error": text_of(err)}, exc_info=err)

    async def _opened(self) -> bool:
        """Waits until the agent lets the work begin, and reports whether it is to."""
        await either(self.place.gate.wait(), self.draining.wait())
        return not self.draining.is_set()

    async def _loop(self) -> None:
        plugin = self.place.plugin
        if plugin.facts:
            await keep_facts(self)
        elif plugin.stream_only:
            await stream(self)
        elif plugin.kind == "collector":
            await collect(self)
        else:
            await read(self)


def _told(err: BaseException) -> bool:
    """Whether an author raised it to say something: then its text says it all."""
    return isinstance(err, (Denied, Permanent, NoData, ConfigError, asyncio.TimeoutError)) or not hasattr(err, "__traceback__")
