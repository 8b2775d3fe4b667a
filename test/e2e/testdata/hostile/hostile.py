"""A plugin that tries what it must not: hostile.py KIND, as its agent starts it; hostile.py again URL USER PASSWORD, by a
stolen credential. It speaks to the bus by a socket alone, as main.go does, and tells what came of each attempt."""

import json
import os
import re
import socket
import sys
import time

VICTIM = "victim"
PATIENCE = 5


class Bus:
    """A connection that speaks the protocol of NATS."""

    def __init__(self, url, user, password):
        host, port = url.removeprefix("nats://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE)
        self.input = self.socket.makefile("rb")
        self.messages = []
        options = {"user": user, "pass": password, "verbose": False, "pedantic": False, "headers": True,
                   "no_responders": True, "lang": "socket", "version": "0", "protocol": 1}
        said = self.round("CONNECT %s\r\n" % json.dumps(options))
        if said:
            raise PermissionError(said)

    def round(self, command):
        """Send a command, and return what the bus has to say against it, "" for nothing."""
        self.socket.sendall(command.encode() + b"PING\r\n")
        said = ""
        while True:
            line = self.input.readline().decode().rstrip("\r\n")
            if not line:
                raise ConnectionError(said or "the bus has hung up")
            words = line.split()
            if line == "PONG":
                return said
            if line == "PING":
                self.socket.sendall(b"PONG\r\n")
            elif line.startswith("-ERR"):
                said = line
                if "Authorization Violation" in line:
                    return said
            elif words[0] in ("MSG", "HMSG"):
                body = self.input.read(int(words[-1]) + 2)[:-2]
                header = int(words[-2]) if words[0] == "HMSG" else 0
                self.messages.append((body[:header].decode(), body[header:]))

    def message(self):
        """Wait for a message: its header and its body."""
        end = time.monotonic() + PATIENCE
        while not self.messages:
            if time.monotonic() > end:
                raise TimeoutError("no answer")
            time.sleep(0.01)
            self.round("")
        return self.messages.pop(0)


def pub(subject, reply, body):
    return "PUB %s %s %d\r\n%s\r\n" % (subject, reply, len(body), body)


def hpub(subject, header, body):
    header = "NATS/1.0\r\n%s\r\n\r\n" % header
    return "HPUB %s %d %d\r\n%s%s\r\n" % (subject, len(header), len(header) + len(body), header, body)


class Thief:
    def __init__(self, kind):
        self.kind = kind
        self.host, self.name = os.environ["PACEWIRE_HOST"], os.environ["PACEWIRE_PLUGIN"]
        self.creds = os.environ["PACEWIRE_CREDS"]
        with open(self.creds) as f:
            creds = json.load(f)
        self.outcomes = open(os.path.join(os.environ["PACEWIRE_DIR"], "outcomes"), "w", buffering=1)
        self.bus = Bus(os.environ["PACEWIRE_BUS"], creds["user"], creds["password"])
        self.inbox = "_INBOX_%s.x" % creds["user"]
        self.revision, self.seq = None, 0
        self.bus.round("SUB %s 1\r\n" % self.inbox)
        self.beat()
        ack = json.loads(self.bus.message()[1])
        if ack["state"] != "accepted":
            raise PermissionError(ack)
        self.revision = ack["cfg_rev"]
        self.beat()

    def beat(self):
        self.bus.messages.clear()
        self.bus.round(self.heartbeat(self.inbox))

    def heartbeat(self, reply):
        self.seq += 1
        beat = {"v": 1, "host": self.host, "plugin": self.name, "inst": os.environ["PACEWIRE_INST"], "seq": self.seq,
                "int_ms": 1000}
        if self.revision is None:
            beat |= {"hello": True, "state": "starting", "manifest": {
                "kind": self.kind, "program": "hostile", "version": "1", "api": 1, "schema": {"type": "object"}}}
        else:
            beat |= {"state": "running", "cfg_rev": self.revision}
        return pub("pw.hb.%s.%s.htb" % (self.host, self.name), reply, json.dumps(beat))

    def tell(self, attempt, outcome):
        self.outcomes.write(json.dumps({"attempt": attempt, "outcome": outcome}) + "\n")

    def attempt(self, what, command):
        self.tell(what, self.bus.round(command))

    def forge(self):
        def to(area, rest=""):
            return "pw.%s.%s.%s%s" % (area, self.host, VICTIM, rest)

        self.attempt("publish as another plugin", pub(to("metrics"), "", "forged v=1"))
        self.attempt("beat as another plugin", pub(to("hb", ".htb"), self.inbox, "{}"))
        self.attempt("command another plugin", pub(to("ctl", ".drain"), self.inbox, '{"id":"1"}'))
        self.attempt("command the agent", pub("pw.ctl.%s.agent.list" % self.host, self.inbox, '{"id":"1"}'))
        self.attempt("publish into another's inbox", pub("_INBOX_%s_%s.x" % (self.host, VICTIM), "", "x"))

    def listen(self):
        for what, subject in {
            "everything": ">", "another's inbox": "_INBOX_%s_%s.>" % (self.host, VICTIM),
            "another's commands": "pw.ctl.%s.%s.*" % (self.host, VICTIM),
            "the agent's commands": "pw.ctl.%s.agent.*" % self.host, "all points": "pw.metrics.>",
        }.items():
            self.attempt("subscribe to " + what, "SUB %s 9\r\n" % subject)

    def deputize(self):
        drain = "pw.ctl.%s.%s.drain" % (self.host, VICTIM)
        self.attempt("deputy: publish", pub("pw.metrics.%s.%s" % (self.host, self.name), drain, "deputy v=1"))
        self.attempt("deputy: heartbeat", self.heartbeat(drain))
        self.attempt("deputy: next message", pub("$JS.API.CONSUMER.MSG.NEXT.METRICS." + self.name, drain, '{"batch":1}'))

    def steal_ids(self):
        self.bus.messages.clear()
        self.bus.round(pub("$JS.API.CONSUMER.MSG.NEXT.METRICS." + self.name, self.inbox, '{"batch":1,"expires":5000000000}'))
        found = re.search(r"Nats-Msg-Id: (.*/)(\d+)\r\n", self.bus.message()[0])
        for i in range(200):
            header = "Nats-Msg-Id: %s%d" % (found[1], int(found[2]) + i + 1)
            self.attempt("take a batch id", hpub("pw.metrics.%s.%s" % (self.host, self.name), header, "stolen v=1"))

    def pry(self):
        self.tell("environment", " ".join(os.environ))
        self.tell("credentials of another", self.read_others())

    def read_others(self):
        directory, outcome = os.path.dirname(self.creds), "not found"
        try:
            for name in os.listdir(directory):
                if "_" + VICTIM in name:
                    with open(os.path.join(directory, name)) as f:
                        f.read()
                    outcome = "read"
        except OSError as e:
            return str(e)
        return outcome


def main():
    if sys.argv[1] == "again":
        try:
            Bus(*sys.argv[2:])
        except OSError as e:
            print(e)
        return
    t = Thief(sys.argv[1])
    t.forge()
    t.listen()
    t.deputize()
    if t.kind == "collector":
        t.attempt("publish as another host", pub("pw.metrics.other." + t.name, "", "forged v=1"))
        t.attempt("next of another's consumer", pub("$JS.API.CONSUMER.MSG.NEXT.METRICS.file", t.inbox, "1"))
    else:
        t.steal_ids()
    t.pry()
    t.tell("done", "")
    while True:
        time.sleep(1)
        t.beat()


main()
