"""An agent's half of the protocol, for one plugin that works in the loop of a test, on a real bus."""
from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from typing import Any
from unittest import mock

from bus import PATIENCE, BusCase
from pacewire import _errors, _pulse
from pacewire._batch import Batch, decode, frames, CONTENT_TYPE
from pacewire._life import Life
from pacewire._options import Options

HOST, NAME = "h1", "p1"
LOG = logging.getLogger("pacewire.test")
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


class Agent:
    """Answers heartbeats, offers one config, and notes all that a plugin says."""

    def __init__(self, client: Any):
        self.client = client
        self.offer: dict[str, Any] = {}
        self.silent = False
        self.beats: list[dict[str, Any]] = []
        self.facts: list[dict[str, Any]] = []
        self._ids = 0
        client.subscribe(f"pw.hb.{HOST}.{NAME}.htb", self._on_beat)
        client.subscribe(f"pw.hb.{HOST}.{NAME}.plg", lambda msg: self.facts.append(json.loads(msg.data)))

    @property
    def last(self) -> dict[str, Any]:
        return self.beats[-1] if self.beats else {}

    def offers(self, rev: int, config: dict[str, Any], **work: Any) -> None:
        """Offers a config from the next ACK on."""
        self.offer = {"cfg_rev": rev, "config": config, **work}

    def _on_beat(self, msg: Any) -> None:
        beat = json.loads(msg.data)
        self.beats.append(beat)
        if not self.silent:
            ack = {"v": 1, "srv": "test", "seq": beat["seq"], "state": "accepted", "term": 1, "next_ms": 100, "inv": beat["inv"], **self.offer}
            self.client.publish(msg.reply, json.dumps(ack).encode())

    async def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """A request, and the answer."""
        self._ids += 1
        body = json.dumps({"id": str(self._ids), **request}).encode()
        msg = await self.client.request(f"pw.ctl.{HOST}.{NAME}.{verb}", body, timeout=PATIENCE)
        reply: dict[str, Any] = json.loads(msg.data)
        return reply


class LifeCase(BusCase):
    """A test of one plugin between a bus and an agent. What is tried again is so at once, and beats come ten times a second."""

    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.set(_errors, FIRST_PAUSE=0.02, MOST_PAUSE=0.05, FIRST_DENIED=0.05, MOST_DENIED=0.1)
        self.set(_pulse, SOONEST=0.05, LEAST_INTERVAL=0.3)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.bus_client = await self.client(inbox=f"_INBOX_{HOST}_agent")
        self.agent = Agent(self.bus_client)
        self.letters: list[Any] = []
        self.bus_client.subscribe("pw.dead.>", self.letters.append)

    def set(self, module: Any, **values: float) -> None:
        """Sets constants of a module for the time of the test."""
        for name, value in values.items():
            patch = mock.patch.object(module, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    async def serve(self, plugin: Any, rev: int = 1, config: dict[str, Any] | None = None, **work: Any) -> Life:
        """Begins the life of a plugin, under a config if rev is not 0. It is drained at the end of the test."""
        if rev:
            self.agent.offers(rev, config or {}, **work)
        self.life = Life(plugin, Options(self.bus.url, HOST, NAME, dir=self.dir, least=0.1), LOG)
        self.work = asyncio.ensure_future(self.life.run())
        self.addAsyncCleanup(self.drained)
        await self.until("hello", lambda: self.agent.beats)
        return self.life

    async def drained(self) -> None:
        """Has the plugin end, and sees that it does."""
        self.life.drain()
        await asyncio.wait_for(self.work, PATIENCE)

    async def state(self, state: str, rev: int = 1) -> dict[str, Any]:
        """Waits for a heartbeat with this state and revision, and returns it."""
        await self.until(f"state {state} {rev}", lambda: (self.agent.last.get("state"), self.agent.last.get("cfg_rev")) == (state, rev))
        return self.agent.last

    async def flagged(self, flag: str, on: bool = True) -> None:
        """Waits for a heartbeat with a flag, or without it."""
        await self.until(f"flag {flag} {on}", lambda: (flag in self.agent.last.get("flags", ())) == on)

    async def reader(self, plugin: Any, stream: str = "METRICS", config: dict[str, Any] | None = None, **work: Any) -> Life:
        """Begins the life of a plugin with one input, of all that has the source src; for events, all of them."""
        filters = f"pw.metrics.{HOST}.src" if stream == "METRICS" else "pw.events.>"
        durable = {"durable_name": NAME, "ack_policy": "explicit", "ack_wait": int(30e9), "deliver_policy": "all", "max_ack_pending": 256,
                   "filter_subject": filters}
        await self.ask(self.bus_client, f"CONSUMER.DURABLE.CREATE.{stream}.{NAME}", stream_name=stream, config=durable)
        life = await self.serve(plugin, config=config, inputs=[{"stream": stream, "durable": NAME}], **work)
        await self.state("running")
        return life

    async def give(self, *points: Any, id: str = "", subject: str = f"pw.metrics.{HOST}.src") -> None:
        """Stores one batch of points."""
        batch = Batch(HOST)
        batch.extend(points)
        (body,) = frames(batch)
        await self.give_bytes(body, id=id, subject=subject)

    async def give_bytes(self, body: bytes, id: str = "", kind: str = CONTENT_TYPE, subject: str = f"pw.metrics.{HOST}.src") -> None:
        headers = {"Content-Type": kind, **({"Nats-Msg-Id": id} if id else {})}
        msg = await self.bus_client.request(subject, body, headers=headers, timeout=PATIENCE)
        self.assertIn("seq", json.loads(msg.data))

    def heard(self, subject: str = f"pw.metrics.{HOST}.{NAME}") -> list[Any]:
        """A list that gets all points that come on a subject from now on."""
        out: list[Any] = []

        def take(msg: Any) -> None:
            batch, _ = decode(msg.data, (msg.headers or {}).get("Content-Type"), stored_ns=1, host=HOST)
            out.extend(batch.points())

        self.bus_client.subscribe(subject, take)
        return out

    async def settled(self, stream: str = "METRICS") -> None:
        """Waits until the input has nothing left to give, and nothing in hand."""
        async def done() -> bool:
            info = await self.ask(self.bus_client, f"CONSUMER.INFO.{stream}.{NAME}")
            return not info["num_pending"] and not info["num_ack_pending"]
        await self.until("the input is settled", done)


def letter(msg: Any) -> tuple[str, str]:
    """The code and the error of a dead letter."""
    return msg.headers["Pw-Reason"], msg.headers["Pw-Error"]
