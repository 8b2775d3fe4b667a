"""A collector that needs nothing but Python: it speaks to the bus and to its agent over a plain socket.

It counts. When the bus is away it ends, and its agent starts it again. Host and plugin have plain names.
"""
import json
import os
import select
import signal
import socket
import sys
import time

HOST, NAME, INST = (os.environ["PACEWIRE_" + key] for key in ("HOST", "PLUGIN", "INST"))
CONFIG_REFUSED = 78  # exit code after which the agent tries no other start

MANIFEST = {
    "kind": "collector", "program": "script", "version": "1.0.0", "api": 1, "summary": "Counts.",
    "schema": {"type": "object", "properties": {}, "additionalProperties": False},
    "catalog": [{"series": "script", "help": "A counter.", "fields": {"value": "1"}, "types": {"value": "i"}}],
}


class Bus:
    """A connection to NATS."""

    def __init__(self, url, creds):
        address, port = url.split(",")[0].removeprefix("nats://").rsplit(":", 1)
        self.socket = socket.create_connection((address, int(port)), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = b""
        user, password = creds["user"], creds["password"]
        self.inbox = f"_INBOX_{user}.{INST}"
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "python",
                   "version": "1", "protocol": 1, "name": f"{HOST}/{NAME}", "user": user, "pass": password}
        self.send(b"CONNECT " + json.dumps(options).encode())

    def send(self, line, payload=None):
        self.socket.sendall(line + b"\r\n" if payload is None else line + b"\r\n" + payload + b"\r\n")

    def subscribe(self, subject, number):
        self.send(f"SUB {subject} {number}".encode())

    def publish(self, subject, message, reply="", headers=None):
        body = json.dumps(message).encode()
        if headers is None:
            self.send(f"PUB {subject} {reply} {len(body)}".encode(), body)
            return
        head = ("NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()
        self.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}".encode(), head + body)

    def messages(self, until):
        """Yields what comes before a time, as subject, reply and body; at least what is there already."""
        while True:
            while (message := self.parse()) is not None:
                if message:
                    yield message
            if not select.select([self.socket], [], [], max(until - time.monotonic(), 0))[0]:
                return
            chunk = self.socket.recv(65536)
            if not chunk:
                sys.exit("the bus has hung up")
            self.held += chunk

    def parse(self):
        """Takes one operation from what is held: None for none yet, () for one that is no message."""
        line, end, rest = self.held.partition(b"\r\n")
        if not end:
            return None
        words = line.decode().split(" ")
        if words[0] not in ("MSG", "HMSG"):
            self.held = rest
            if words[0] == "PING":
                self.send(b"PONG")
            elif words[0] == "-ERR":
                print("the bus says", line.decode(), file=sys.stderr, flush=True)
            return ()
        size = int(words[-1])
        if len(rest) < size + 2:
            return None
        self.held = rest[size + 2:]
        head = int(words[-2]) if words[0] == "HMSG" else 0
        reply = words[3] if len(words) - (words[0] == "HMSG") > 4 else ""
        return words[1], reply, rest[head:size]


def unpack(data, at=0):
    """Reads a value of MessagePack, in which the agent asks: returns it and where it ends."""
    kind = data[at]
    at += 1
    if kind < 0x80 or kind >= 0xe0:
        return kind if kind < 0x80 else kind - 256, at
    if kind in SIMPLE:
        return SIMPLE[kind], at
    if kind in INTEGERS:
        size, signed = INTEGERS[kind]
        return int.from_bytes(data[at:at + size], "big", signed=signed), at + size
    if kind < 0xc0:  # the length stands in the kind
        length, form = (kind & 0x1f, "text") if kind >= 0xa0 else (kind & 0x0f, "map" if kind < 0x90 else "list")
    else:
        form, size = SIZED[kind]
        length, at = int.from_bytes(data[at:at + size], "big"), at + size
    if form in ("text", "bytes"):
        raw = data[at:at + length]
        return raw.decode() if form == "text" else raw, at + length
    values = []
    for _ in range(2 * length if form == "map" else length):
        value, at = unpack(data, at)
        values.append(value)
    return dict(zip(values[::2], values[1::2])) if form == "map" else values, at


SIMPLE = {0xc0: None, 0xc2: False, 0xc3: True}
INTEGERS = {0xcc: (1, False), 0xcd: (2, False), 0xce: (4, False), 0xcf: (8, False),
            0xd0: (1, True), 0xd1: (2, True), 0xd2: (4, True), 0xd3: (8, True)}
SIZED = {0xc4: ("bytes", 1), 0xc5: ("bytes", 2), 0xc6: ("bytes", 4), 0xd9: ("text", 1), 0xda: ("text", 2), 0xdb: ("text", 4),
         0xdc: ("list", 2), 0xdd: ("list", 4), 0xde: ("map", 2), 0xdf: ("map", 4)}


class Plugin:
    """The life of a plugin: hello, work, heartbeats, drain."""

    def __init__(self, bus):
        self.bus = bus
        self.state, self.greeted, self.seq, self.interval = "starting", False, 0, 10.0
        self.wait = 1.0  # until the next heartbeat, while nobody answers
        self.beat_at, self.tick_at = 0.0, float("inf")  # on the monotonic clock
        self.rev, self.every, self.tags = 0, 0.0, {}
        self.value, self.under_way, self.sent_at = 0, None, 0.0

    def run(self):
        self.bus.subscribe(self.bus.inbox + ".>", 1)
        self.bus.subscribe(f"pw.ctl.{HOST}.{NAME}.*", 2)
        while self.state != "draining" or self.under_way and time.monotonic() < self.sent_at + 5:
            now = time.monotonic()
            if now >= self.beat_at:
                self.beat()
            if now >= self.tick_at:
                self.tick(now)
            for subject, reply, body in self.bus.messages(min(self.beat_at, self.tick_at, now + 0.2)):
                self.take(subject, reply, body)
                if min(self.beat_at, self.tick_at) <= time.monotonic():
                    break
        self.beat(bye="shutdown")

    def drain(self, *_):
        self.state, self.tick_at = "draining", float("inf")

    def beat(self, **more):
        self.seq += 1
        message = {"v": 1, "host": HOST, "plugin": NAME, "inst": INST, "seq": self.seq, "int_ms": round(1000 * self.interval),
                   "t1": time.time_ns(), "state": self.state, "cfg_rev": self.rev, **more,
                   "flags": ["exclusive"]}  # two of it would count twice
        if not self.greeted:
            message.update(hello=True, manifest=MANIFEST)
            self.wait = min(2 * self.wait, self.interval)
        self.beat_at = time.monotonic() + (self.interval if self.greeted else self.wait / 2)
        self.bus.publish(f"pw.hb.{HOST}.{NAME}.htb", message, self.bus.inbox + ".ack")

    def take(self, subject, reply, body):
        """Does what a message asks for."""
        if subject == self.bus.inbox + ".ack":
            if body:  # none: nobody has heard the heartbeat
                self.obey(json.loads(body))
        elif subject == f"{self.bus.inbox}.stored.{self.value}":
            if body and "error" not in json.loads(body):  # else it is sent again
                self.under_way = None
        elif subject.startswith("pw.ctl.") and body:
            self.asked(subject.rsplit(".", 1)[1], reply, body)

    def obey(self, ack):
        """Does what the agent wants: begin, or be ready and wait."""
        if ack["state"] == "refused":
            print("refused:", ack.get("reason"), file=sys.stderr)
            sys.exit(CONFIG_REFUSED)
        self.greeted = True
        self.interval = ack.get("next_ms", 0) / 1000 or self.interval
        if self.state == "draining":
            return
        fresh = "config" in ack
        if fresh:
            self.rev, self.every, self.tags = ack["cfg_rev"], ack.get("every_ms", 0) / 1000, ack.get("tags", {})
        wanted = "ready" if "hold" in ack.get("flags", ()) else "running"
        if self.rev and (fresh or self.state == "ready" and wanted == "running"):
            self.state, self.beat_at = wanted, 0.0
            self.tick_at = time.monotonic() if wanted == "running" and self.every else float("inf")

    def asked(self, verb, reply, body):
        """Answers the agent, and nobody else: who may name the reply borrows the rights of whoever answers."""
        request = json.loads(body) if body[:1] == b"{" else unpack(body)[0]
        if request.get("args", {}).get("inst", INST) != INST:
            return  # meant for another process of our name
        if verb == "beat":
            self.greeted, self.beat_at = False, 0.0
        elif verb == "drain":
            self.drain()
        if reply.startswith(f"_INBOX_{HOST}_agent."):
            self.bus.publish(reply, {"id": request["id"], "ok": True})

    def tick(self, now):
        """Sends a point, or again the one that is not stored yet."""
        self.tick_at = now + self.every
        if self.under_way and now < self.sent_at + 5:
            return  # a tick is missed
        if not self.under_way:
            self.value += 1
            self.under_way = {"series": "script", "time": time.time_ns() // 1000 * 1000, "tags": self.tags,
                              "types": {"value": "i"}, "fields": {"value": self.value}}
        self.sent_at = now
        headers = {"Nats-Msg-Id": f"{HOST}/{NAME}/{INST}/{self.value}", "Content-Type": "application/json"}
        self.bus.publish(f"pw.metrics.{HOST}.{NAME}", self.under_way, f"{self.bus.inbox}.stored.{self.value}", headers)


def main():
    with open(os.environ["PACEWIRE_CREDS"], encoding="utf-8") as f:
        creds = json.load(f)
    plugin = Plugin(Bus(os.environ["PACEWIRE_BUS"], creds))
    signal.signal(signal.SIGTERM, plugin.drain)
    plugin.run()


if __name__ == "__main__":
    main()
