"""Beats as the agent of a host, or with --plugin as one of its plugins: written from docs/protocol.md and schemas/ alone. JSON, no TLS."""
import argparse, hashlib, json, os, pathlib, platform, random, select, signal, socket, sys, time

def encoded(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

def digest(data):
    return hashlib.sha256(data).hexdigest()[:32]

def token(name):
    text = "".join(chr(b) if chr(b).isascii() and chr(b).isalnum() or b in b"_-" else f"={b:02X}" for b in name.encode()) or "="
    cut = text.rfind("=", 46, 48)  # of an escape that would be split
    return text if len(text) <= 64 else text[:48 if cut < 0 else cut] + "==" + digest(name.encode())[:12]

class Watched:
    def __init__(self, options):
        self.o, self.name, host = options, options.plugin or "agent", token(options.host).replace("_", "=5F")
        self.creds = json.loads(pathlib.Path(options.creds).read_text() or "{}")
        self.place, self.askers = f"{token(options.host)}.{token(self.name)}", (f"_INBOX_{host}_agent.", "_INBOX_hub.")
        self.inbox, self.inst = f"_INBOX_{host}_{token(self.name)}.{os.urandom(4).hex()}", os.environ.get("PACEWIRE_INST") or os.urandom(8).hex()
        self.manifest = {"kind": "collector" if options.plugin else "agent", "program": "beat.py", "version": "1.0.0", "api": 1, "os": sys.platform}
        self.seq = self.term = self.acked = self.rev = 0
        self.interval, self.wait, self.held_there, self.greeted, self.leaving = options.interval, 1, "", False, False
        self.collect()

    def collect(self):
        facts = {"hostname": socket.gethostname(), "python": platform.python_version(), "platform": platform.platform()}
        self.at, self.data = time.time_ns(), {"info": facts, "manifest": self.manifest}  # sorted
        self.entries = [[self.name, kind, "1.0.0", "", digest(encoded(data))] for kind, data in self.data.items()]
        self.inv = digest(b"".join(f"{p}\0{t}\0{v}\0".encode() + bytes(16) + bytes.fromhex(d) for p, t, v, _, d in self.entries))

    def publish(self, subject, message, reply=""):
        body = encoded(message)
        self.socket.sendall(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    def listen(self, until):
        while select.select([self.socket], [], [], max(until - time.monotonic(), 0))[0]:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("the bus has hung up")
            self.held += chunk
            while self.take():
                pass

    def take(self):  # one operation, if there is a whole one
        line, end, rest = self.held.partition(b"\r\n")
        verb, *args = line.decode().split(" ")
        size = int(args[-1]) + 2 if end and verb in ("MSG", "HMSG") else 0
        if not end or len(rest) < size:
            return False
        self.held = rest[size:]
        if verb == "PING":
            self.socket.sendall(b"PONG\r\n")
        elif verb == "-ERR":
            print("the bus says", *args, file=sys.stderr, flush=True)
        elif verb == "MSG" and size > 2:  # one with headers (HMSG) is from a stream, or says that nobody listens
            reply, message = args[2] if len(args) == 4 else "", json.loads(rest[:size])
            self.answer(args[0].split(".")[-1], reply, message) if args[0].startswith("pw.ctl.") else self.obey(message)
        return True

    def beat(self, **more):
        self.seq, self.wait = self.seq + 1, 2 * self.wait
        message = {"v": 1, "host": self.o.host, "plugin": self.name, "name": socket.gethostname(), "inst": self.inst, "seq": self.seq,
                   "int_ms": round(1000 * self.interval), "t1": time.time_ns(), "mono1": time.monotonic_ns(), "state": "running",
                   "cfg_rev": self.rev, "inv": self.inv, "inv_n": len(self.entries), "ack": self.acked, **more}
        self.greeting = not self.greeted
        if self.greeting:
            message.update(hello=True, manifest=self.manifest)
        if not self.greeted or self.held_there != self.inv:
            message["inv_list"] = self.entries
        self.publish(f"pw.hb.{self.place}.htb", message, self.inbox + ".ack")
        self.due = time.monotonic() + (self.interval if self.greeted else min(self.wait / 2, self.interval))

    def obey(self, ack):
        if ack["v"] != 1 or ack.get("term", 0) < self.term:
            return
        first, accepted = not self.greeted, ack["state"] == "accepted"
        self.greeted = accepted and (self.greeted or self.greeting)  # who asked for a hello has it when that was the last beat
        self.term, self.acked, self.held_there = ack.get("term", 0), ack["seq"], ack.get("inv", "")
        self.interval = max(ack["next_ms"] / 1000, 1) if ack.get("next_ms") else self.interval
        rev, self.rev = self.rev, ack["cfg_rev"] if "config" in ack else self.rev  # in force at once: there is nothing to set
        self.due = time.monotonic() + (self.interval * random.uniform(0.95, 1.05) if rev == self.rev else 0)
        self.tell(["info"] if first and self.greeted else [])
        if not accepted:
            print("refused:", ack.get("reason"), file=sys.stderr, flush=True)
            return sys.exit(78) if self.o.plugin else None

    def tell(self, kinds):
        for kind in kinds:
            self.publish(f"pw.hb.{self.place}.plg", {"v": 1, "host": self.o.host, "inst": self.inst, "plugin": self.name, "type": kind, "t": self.at,
                         "version": "1.0.0", "digest": digest(encoded(self.data[kind])), "data": self.data[kind]})

    def answer(self, verb, reply, m):
        if not reply.startswith(self.askers) or not m.get("id") or m.get("args", {}).get("inst", self.inst) != self.inst:
            return  # whoever names a reply subject borrows the rights of who answers there
        answer, want, age = {"id": m["id"], "ok": True}, m.get("want", []) if verb == "refresh" else [], (time.time_ns() - self.at) // 10**6
        if verb == "refresh":
            if age >= 10_000 and (m.get("mode") == "collect" or 0 < m.get("max_age_ms", 0) < age):
                age = self.collect() or 0
            answer["payload"] = {"inv_list": [[*e, len(encoded(self.data[e[1]])), age, None] for e in self.entries]}
        elif verb == "beat":
            self.greeted, self.wait, self.due = False, 1, 0
        elif verb == "drain" and self.o.plugin:
            self.leaving = True
        elif verb != "ping":
            answer.update(ok=False, error={"code": "not_found", "message": "there is no verb " + verb})
        self.publish(reply, answer)
        self.tell([kind for kind in self.data if "*" in want or f"{self.name}/{kind}" in want])

    def run(self):  # until it is to leave
        address, port = self.o.bus.split(",")[0].split("//")[-1].rsplit(":", 1)
        self.socket, self.held, self.due = socket.create_connection((address, int(port)), timeout=5), b"", 0
        login = {"user": self.creds.get("user"), "pass": self.creds.get("password"), "headers": True, "no_responders": True, "verbose": False}
        self.socket.sendall(f"CONNECT {json.dumps(login)}\r\nSUB {self.inbox}.> 1\r\nSUB pw.ctl.{self.place}.* 2\r\n".encode())
        while not self.leaving and self.seq != self.o.count:
            if time.monotonic() >= self.due:
                self.beat()
            self.listen(min(self.due, time.monotonic() + 0.1))
        self.beat(bye="shutdown", state="draining")
        self.listen(time.monotonic() + 0.5)

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for flag, default in {"bus": "127.0.0.1:4222", "host": "demo", "plugin": "", "interval": 10.0, "count": -1, "creds": os.devnull}.items():
        parser.add_argument("--" + flag, type=type(default), default=default)
    watched = Watched(parser.parse_args())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(watched, "leaving", True))
    while not watched.leaving:
        try:
            return watched.run()
        except OSError as err:
            print("bus:", err, file=sys.stderr, flush=True)
            time.sleep(random.uniform(0.1, 2))  # not all hosts at once

if __name__ == "__main__":
    main()
