"""The life of a plugin on the bus: hello, beats, what the agent wants, and the end."""
from __future__ import annotations

import asyncio
import secrets
import socket
import time
import weakref
from typing import Any, Coroutine

from . import _control as control
from ._batch import Batch
from ._catalog import catalog, manifest
from ._config import ConfigMap, ConfigPolicy
from ._counters import Counters
from ._crew import Crew
from ._cron import Cron
from ._errors import ConfigError, Late, Refused, text_of
from ._inventory import Entry, Inventory
from ._jetstream import Sink, Source
from ._job import DRAIN_LIMIT, START_LIMIT, Job, Place
from ._kinds import Plugin, overridden
from ._letters import Letters
from ._nats import Client, Error
from ._options import Options, hostname, read_creds, tls_of
from ._outlet import Outlet
from ._pulse import Pulse, Refusal, Stray
from ._subjects import subject, token, user
from ._suspects import LetterKey, Suspects
from ._waits import cancel, either

_BYE = 0.5  # seconds for the ACK of a goodbye


class Life:
    """One plugin process between hello and goodbye."""

    def __init__(self, plugin: Plugin, options: Options, log: Any):
        self.plugin, self.o, self.log = plugin, options, log
        self.o.process = options.process or options.plugin
        self.inst = options.inst or secrets.token_hex(8)
        self.policy = plugin.get_config_policy()
        self.count = Counters()
        self.crew = Crew(self._hung, self.count.called)
        plugin.name, plugin.host, plugin.dir, plugin.log = options.plugin, options.host, options.dir, log
        self.pulse = Pulse(options.host, self.o.process, self.inst, options.least)
        self.inventory = Inventory(options.host, self.o.process, self.inst, plugin.version)
        self.state, self.rev, self.offered, self.declined = "starting", 0, 0, False
        self.is_hung = self.is_failing = self.over = False
        self.refreshing = 0
        self.bye = "shutdown"
        self.alarmed = ""
        self.refusal: Refused | None = None
        self.ending = asyncio.Event()
        self.beat_now, self.offer_come = asyncio.Event(), asyncio.Event()
        self.offer: dict[str, Any] | None = None
        self.job: Job | None = None
        self.outlet: Any = None
        self.sources: list[Any] = []
        self.unread: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.count.changed = self._hasten
        self.asked_health: asyncio.Task[Any] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Serves until somebody asks for the end. Raises Refused when the agent does not want this plugin."""
        self.control = self._client("control", self._connected)
        self.data = self._client("data", None)
        try:
            await self._describe(defaults_of(self.policy))
            if await self._connect():
                self._begin()
                await self._serve()
        finally:
            await self._close()
        if self.refusal is not None:
            raise self.refusal

    async def _serve(self) -> None:
        """Beats and works side by side: one without the other is no life."""
        beats, work = asyncio.ensure_future(self._beat_loop()), asyncio.ensure_future(self._work())
        try:
            await either(beats, work)
            (work if work.done() else beats).result()
        finally:
            self.over = True  # a request may swallow what cancels it
            await cancel(beats, work)
            await self._say_bye()

    def drain(self, reason: str = "shutdown") -> None:
        """Asks for the end: what was begun is finished first."""
        self.bye = reason if reason in ("upgrade", "maintenance", "suspend") else "shutdown"
        self.ending.set()

    def survey(self) -> None:
        """Has facts collected anew, as somebody on this machine wants."""
        if self.job is not None and (self.plugin.facts or self.state == "idle"):
            self.place.refresh.put_nowait(asyncio.get_running_loop().create_future())

    async def _connect(self) -> bool:
        """Connects, and reports whether that came to be before somebody asked for the end."""
        async def both() -> None:
            await self.control.connect(self.o.wait)
            await self.data.connect(self.o.wait)

        connecting = asyncio.ensure_future(both())
        try:
            await either(connecting, self.ending.wait())
            if connecting.done():
                connecting.result()
            return connecting.done()
        finally:
            await cancel(connecting)

    def _begin(self) -> None:
        o, plugin = self.o, self.plugin
        self.sink = Sink(self.data, ids=f"{token(o.host)}/{token(o.plugin)}", log=self.log)
        self.outlet = Outlet(self.sink, o.host, o.plugin, self.count, self.count.fail)
        letters = Letters(self.sink, o.plugin, LetterKey(o.dir))
        self.place = Place(
            plugin, self.crew, self.count, self.log, self.outlet, self._source, letters.bury, Suspects(o.dir),
            state=self._set_state, failing=self._failing, alarm=self._alarm, keeps=self._keeps)
        loop = asyncio.get_running_loop()
        plugin._send_event = lambda kind, batch: asyncio.run_coroutine_threadsafe(self.outlet.event(kind, batch), loop).result()
        self.control.subscribe(f"pw.ctl.{token(o.host)}.{token(o.process)}.*", self._asked)
        self.beat_now.set()

    def _client(self, purpose: str, on_connect: Any) -> Any:
        o = self.o
        name, inbox = f"{o.host}/{o.process} {purpose}", "_INBOX_" + user(o.host, o.process)
        if o.clients is not None:
            return o.clients(name=name, inbox=inbox, on_connect=on_connect)
        creds, tls = read_creds(o.creds), tls_of(o)
        try:
            return Client(o.bus, name=name, inbox=inbox, on_connect=on_connect, tls=tls,
                          on_error=lambda err: self.count.fail("bus", str(err)), **creds)
        except (Error, ValueError) as err:  # no URL, no nkey, or no module for nkeys
            raise ConfigError([f"bus: {err}"]) from None

    def _source(self, given: dict[str, Any], work: dict[str, Any]) -> Any:
        most = work.get("max_ack_pending") or 64
        source = Source(self.data, given["stream"], token(given["durable"]), max_messages=min(most, 64),
                        end=given.get("end", 0), log=self.log)
        self.sources = [*self.sources[-7:], source]
        return source

    def _count_unread(self) -> None:
        """Counts batches that the limits of a stream took before this plugin had read them."""
        for source in self.sources:
            lost, told = source.stats["lost_unread"], self.unread.get(source, 0)
            self.count.drop("lost_unread_batches", lost - told)
            self.unread[source] = lost

    async def _describe(self, config: ConfigMap) -> None:
        """Makes the manifest, whose catalog may depend on the config."""
        try:
            items = await catalog(self.plugin, self.crew, config)
            self.manifest = manifest(self.plugin, items)
        except Exception as err:
            self.log.warning("the catalog cannot be told", extra={"error": text_of(err)}, exc_info=err)
            self.manifest = manifest(self.plugin, [])
        self.inventory.keep(Entry("manifest", self.manifest))

    # Beats.

    async def _beat_loop(self) -> None:
        while not self.over:
            await either(self.beat_now.wait(), seconds=self.pulse.wait(time.monotonic()))
            self.beat_now.clear()
            if self.pulse.wait(time.monotonic()) > 0:
                continue
            self._ask_health()
            await self._beat()

    async def _beat(self, bye: str = "") -> None:
        """Sends one heartbeat and obeys the ACK. One that cannot be sent is not sent later: the next one is fresh."""
        message = self._heartbeat(bye)
        limit = _BYE if bye else self.pulse.patience()
        try:
            reply = await self.control.request(self._subject("htb"), control.encode(message), timeout=limit)
            self._obey(control.decode_ack(reply.data))
        except (Error, asyncio.TimeoutError) as err:
            self._unanswered(text_of(err))
        except control.ControlError as err:
            self.count.fail("ack", err)
            self._unanswered(f"its answer is no ACK: {err}")
        except Stray as err:
            self.log.debug("ack not heeded", extra={"reason": text_of(err)})
        except Refusal as err:
            self.refusal = Refused(text_of(err))
            self.ending.set()

    def _heartbeat(self, bye: str) -> dict[str, Any]:
        self._count_unread()
        message: dict[str, Any] = {
            "state": self.state, "cfg_rev": self.rev, "inv_n": len(self.inventory.entries), "name": socket.gethostname()}
        queue, size = self.outlet.queued()
        sent = self.sink.stats
        stats = {**self.count.stats(), "queue": queue, "queue_bytes": size, "resent": sent.get("resent", 0)}
        optional = {"bye": bye, "flags": self._flags(), "err": self.count.fault(), "stats": {k: v for k, v in stats.items() if v}}
        message.update({k: v for k, v in optional.items() if v})
        inventory = self.inventory.digest()
        self.pulse.beat(message, inventory)
        if message.get("hello"):
            message["manifest"] = self.manifest
        if self.pulse.lists(inventory):
            message["inv_list"] = self.inventory.items()
        return message

    def _flags(self) -> list[str]:
        gated = not self.place.gate.is_set() and self.plugin.kind == "collector"  # two would collect twice
        own = {"hung": self.is_hung, "failing": self.is_failing, "refreshing": self.refreshing > 0, "exclusive": gated}
        self.count.hold("storage_full", self.sink.state == "storage_full")
        return [flag for flag, up in own.items() if up] + self.count.flags()

    def _unanswered(self, reason: str) -> None:
        self.pulse.missed()
        if self.pulse.alone():
            then = "work goes on with the last config" if self.offered else "nothing can be done before one does"
            self.log.warning(f"no agent answers, {then}", extra={"error": reason})

    def _obey(self, ack: dict[str, Any]) -> None:
        away = self.pulse.missed_in_row >= 3
        self.pulse.obey(ack)
        if away:
            self.log.info("agent answers again")
        if "hold" not in ack.get("flags", ()):
            self.place.gate.set()
        rev = ack.get("cfg_rev", 0)
        if "config" in ack and rev != self.offered:
            self.offered, self.declined, self.offer = rev, False, ack
            self.offer_come.set()
        elif self.declined and rev == self.rev:
            self.offered = 0  # the agent has given it up: it may offer it again

    def _ask_health(self) -> None:
        """Asks the author's hook, if there is one and the work has begun. The beat does not wait for it: the next one tells."""
        if self.state != "running" or not overridden(self.plugin, "health"):
            return
        if self.asked_health is not None and not self.asked_health.done():
            self.count.fail("health", "health does not come back")
            return
        self.asked_health = self._spawn(self._health())

    async def _health(self) -> None:
        try:
            said = await self.crew.call(self.plugin.health, limit=None)
        except Exception as err:
            said = text_of(err)
        if said and said is not True:
            self.count.fail("health", str(said))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Has work done beside; what is left of it at the end is given up."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _say_bye(self) -> None:
        self.state = "draining"
        if self.control.connected:
            await self._beat(self.bye)

    # What the agent asks.

    def _asked(self, msg: Any) -> None:
        """Answers a request. Whoever names a reply subject borrows the rights of who answers there: only watchers may."""
        host = token(self.o.host).replace("_", "=5F")
        if not msg.data or not msg.reply.startswith((f"_INBOX_{host}_agent.", "_INBOX_hub.")) or \
                any(h.lower().startswith("nats-") for h in msg.headers or ()):
            return
        try:
            request = control.decode_request(msg.data)
        except control.ControlError as err:
            self.count.fail("request", err)
            self.log.warning("request refused", extra={"error": str(err), "subject": msg.subject})
            return
        if request.get("args", {}).get("inst", self.inst) == self.inst:
            self._spawn(self._answer(msg, request))

    async def _answer(self, msg: Any, request: dict[str, Any]) -> None:
        verb = msg.subject.rsplit(".", 1)[-1]
        reply: dict[str, Any] = {"id": request["id"], "ok": True}
        if verb == "ping":
            fault = self.count.fault()
            reply["payload"] = {**self.count.stats(), **({"last_error": fault} if fault else {})}
        elif verb == "refresh":
            await self._refresh(request)
            reply["payload"] = {"inv_list": self.inventory.manifest()}
        elif verb not in ("beat", "drain"):
            reply.update(ok=False, error={"code": "not_found", "message": f"there is no verb {verb}"})
        self._publish(msg.reply, control.encode_as(msg.data, reply))
        if verb == "beat":
            self.pulse.greet_again(time.monotonic())
            self.beat_now.set()
        elif verb == "drain":
            self.log.info("drain asked for by the agent")
            self.drain(str(request.get("args", {}).get("reason", "")))
        elif verb == "refresh":
            for body in self.inventory.messages(request.get("want", [])):
                self._publish(self._subject("plg"), body)

    async def _refresh(self, request: dict[str, Any]) -> None:
        """Finds facts out anew where that is asked for; several who ask at a time are answered by one collection."""
        info, most = self.inventory.entries.get("info"), request.get("max_age_ms", 0)
        old = info is not None and 0 < most < 1000 * (time.monotonic() - info.mono)
        if request.get("mode") != "collect" and not old:
            return
        if self.job is None or self.state == "failed" or not (self.plugin.facts or self.state == "idle"):
            if self.job is not None:
                await self._describe(self.job.config)
            return
        order = asyncio.get_running_loop().create_future()
        self.refreshing += 1
        self._hasten()
        try:
            self.place.refresh.put_nowait(order)
            await asyncio.wait({order}, timeout=20.0)
        finally:
            self.refreshing -= 1

    def _publish(self, to: str, body: bytes) -> None:
        try:
            self.control.publish(to, body)
        except Error as err:
            self.log.warning("not sent", extra={"subject": to, "error": str(err)})

    # Work.

    async def _work(self) -> None:
        """Does what the agent offers, one config after the other, until the end is asked for; then it drains."""
        while not self.ending.is_set():
            await either(self.ending.wait(), self.offer_come.wait())
            self.offer_come.clear()
            offer, self.offer = self.offer, None
            if offer is not None and not self.ending.is_set():
                await self._change(offer)
        self._set_state("draining")
        if self.job is not None:
            await self.job.stop()
        try:
            await self.outlet.flush(DRAIN_LIMIT)
        except (asyncio.TimeoutError, Error) as err:
            self.log.warning("drain: not all is stored", extra={"error": text_of(err)})

    async def _change(self, offer: dict[str, Any]) -> None:
        """Puts a config in force. One that cannot be used leaves the old one running."""
        rev, old = offer.get("cfg_rev", 0), self.job
        try:
            config = await self._usable(offer)
        except (ConfigError, ValueError, Late) as err:
            self._rejected(rev, err)
            if old is None:
                self._set_state("failed")
            return
        if old is not None:
            await old.stop()
        await self._start(rev, offer, config)
        await either(self.job.first, self.ending.wait())
        failed = self.job.first.result() if self.job.first.done() else None
        if failed is not None and old is not None:
            await self.job.stop()
            await self._start(old.rev, old.work, old.config)
            self._rejected(rev, failed)  # not before: an ACK that comes meanwhile would pass for one that gives the offer up

    async def _start(self, rev: int, work: dict[str, Any], config: ConfigMap) -> None:
        self.inventory.configured(work["config"])
        await self._describe(config)
        self.outlet.shape(work)
        self.rev = rev
        self.is_failing = False
        self._set_state("starting")
        self.job = Job(self.place, rev, work, config)
        self._hasten()

    async def _usable(self, offer: dict[str, Any]) -> ConfigMap:
        config: ConfigMap = await self.crew.call(self.policy.read, offer["config"], limit=START_LIMIT)  # its check is the author's
        words = offer.get("schedule") or {}
        if words.get("cron"):
            Cron(words["cron"], words.get("timezone", ""))
        if words and self.plugin.facts:
            raise ConfigError(["schedule: facts are collected at each interval: write every: instead"])
        if offer.get("order") == "source":
            raise ConfigError(["order: source is not kept by plugins in Python: leave order out, or write the plugin in Go"])
        return config

    def _rejected(self, rev: int, err: BaseException) -> None:
        self.count.fail("config_invalid", err)
        self.log.error("config cannot be used", extra={"revision": rev, "error": str(err)})
        self.declined = True
        self._hasten()

    # What the work tells.

    def _hasten(self) -> None:
        self.pulse.hasten(time.monotonic())
        self.beat_now.set()

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._hasten()

    def _hung(self, hangs: bool) -> None:
        self.is_hung = hangs
        if hangs:
            self.log.error("a call does not come back")
        self._hasten()

    def _failing(self, fails: bool) -> None:
        self.is_failing = fails
        self._hasten()

    def _alarm(self, err: BaseException | None) -> None:
        """Raises one event for each new reason why somebody has to act; None: the last one is gone."""
        text = "" if err is None else text_of(err)
        if text and text != self.alarmed:
            batch = Batch(self.o.host)
            batch.add("event", {"message": text}, {"plugin": self.o.plugin, "type": "denied"})
            self._spawn(self.outlet.event("denied", batch))
        self.alarmed = text

    def _keeps(self, entry: Entry) -> None:
        if not self.inventory.keep(entry):
            return
        self._hasten()
        for body in self.inventory.messages([f"{self.o.process}/{entry.kind}"]):
            self._publish(self._subject("plg"), body)

    def _connected(self) -> None:
        self.pulse.reconnected(time.monotonic())
        self.beat_now.set()

    def _subject(self, kind: str) -> str:
        return subject("hb", self.o.host, self.o.process, kind)

    async def _close(self) -> None:
        if self.outlet is not None:
            await self.outlet.close()
        await cancel(*self._tasks)
        await self.control.close()
        await self.data.close()
        self.crew.close()


async def serve(plugin: Plugin, bus: Any, host: str, name: str, creds: str, dir: str) -> None:
    """Leads a plugin's life in the loop of its caller, by an address or by a client that is connected."""
    from ._adapter import Adapter

    options = Options("", host or hostname(), name or plugin.program, creds=creds, dir=dir)
    if isinstance(bus, str):
        options.bus = bus
    else:
        options.clients = lambda name, inbox, on_connect: Adapter(bus, on_connect)
    life = Life(plugin, options, plugin.log)
    work = asyncio.ensure_future(life.run())
    try:
        await either(work)
    finally:
        life.drain()
        await asyncio.wait({work})
    work.result()


def defaults_of(policy: ConfigPolicy) -> ConfigMap:
    """The config of a plugin that has none yet; what has no default is None."""
    return ConfigMap({k: None if r.default is None else r.read(r.default) for k, r in policy.rules.items()})
