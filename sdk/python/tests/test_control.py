import json
import pathlib
import unittest

from pacewire import _control as control
from pacewire._inventory import Entry, Inventory, entry_of_facts
from pacewire._subjects import derived_id, subject, token, untoken, user

GOLDEN = pathlib.Path(__file__).resolve().parents[3] / "schemas" / "testdata" / "control"
CASES = json.loads((GOLDEN / "cases.json").read_text())
DECODERS = {"ack": control.decode_ack, "request": control.decode_request}


class Golden(unittest.TestCase):
    def test_valid(self):
        seen = 0
        for case in CASES["valid"]:
            decode = DECODERS.get(case["kind"])
            if decode:
                both = [decode((GOLDEN / "valid" / f"{case['name']}.{end}").read_bytes()) for end in ("json", "msgpack")]
                self.assertEqual(*both, case["name"])
                seen += 1
        self.assertGreater(seen, 6)

    def test_invalid(self):
        seen = 0
        for case in CASES["invalid"]:
            decode = DECODERS.get(case["kind"])
            if decode:
                with self.subTest(case["file"]), self.assertRaises(control.ControlError) as caught:
                    decode((GOLDEN / "invalid" / case["file"]).read_bytes())
                self.assertEqual(caught.exception.code, case["code"], case["file"])
                seen += 1
        self.assertGreater(seen, 3)

    def test_no_message_breaks_a_decoder(self):
        for folder in ("valid", "invalid"):
            for path in sorted((GOLDEN / folder).iterdir()):
                for decode in DECODERS.values():
                    try:
                        decode(path.read_bytes())
                    except control.ControlError:
                        pass

    def test_digests(self):
        golden = json.loads((GOLDEN / "digests.json").read_text())
        seen = 0
        for case in golden["facts"]:
            self.assertEqual(control.encode(json.loads(case["json"])).decode(), case["json"])
            self.assertEqual(control.digest(case["json"].encode()), case["json_digest"])
            seen += 1
        self.assertGreater(seen, 0)


class Ack(unittest.TestCase):
    def test_refused(self):
        def f(code, **change):
            message = {"v": 1, "srv": "s", "seq": 1, "state": "accepted", **change}
            with self.assertRaises(control.ControlError) as caught:
                control.decode_ack(json.dumps({k: v for k, v in message.items() if v is not ...}).encode())
            self.assertEqual(caught.exception.code, code, change)

        f("range", v=2)
        f("required", seq=...)
        f("required", srv="")
        f("type", seq="x")
        f("range", seq=-1)
        f("range", state="perhaps")
        f("type", config=3)
        f("type", inv="abc")
        f("type", tags={"a": 1})
        f("required", inputs=[{"stream": "METRICS"}])
        f("nan", tags=float("nan"))
        f("depth", config=json.loads("[" * 40 + "]" * 40))
        f("limit", flags=["x"] * 21_000)

    def test_taken(self):
        ack = control.decode_ack(b'{"v":1,"srv":"s","seq":"7","state":"accepted","term":null,"unknown":[1],"inv":"' + b"AB" * 16 + b'"}')
        self.assertEqual((ack["seq"], ack["inv"]), (7, "ab" * 16))
        self.assertNotIn("term", ack)


class Names(unittest.TestCase):
    def test_tokens(self):
        def f(name, want):
            self.assertEqual(token(name), want)
            self.assertEqual(untoken(want), want if "==" in want else name)

        f("web-1", "web-1")
        f("rack_7", "rack_7")
        f("web 1.example", "web=201=2Eexample")
        f("größe", "gr=C3=B6=C3=9Fe")
        f("", "=")
        f("a.very.long.name.of.a.machine.that.somebody.has.given.it", "a=2Every=2Elong=2Ename=2Eof=2Ea=2Emachine=2Ethat==0452a1436d9a")

    def test_users_and_subjects(self):
        self.assertEqual(user("rack_7", "agent"), "rack=5F7_agent")
        self.assertEqual(subject("metrics", "web 1", "fan"), "pw.metrics.web=201.fan")
        self.assertEqual([derived_id("a/b/c/1", "x.y", n) for n in (1, 2)], ["a/b/c/1+x=2Ey", "a/b/c/1+x=2Ey.2"])


class Inventories(unittest.TestCase):
    def test_the_example_of_the_protocol(self):
        inventory = Inventory("web-1", "agent", "i", "1.0.0")
        inventory.keep(Entry("manifest", {"api": 1, "kind": "agent", "program": "beat.py", "version": "1.0.0"}))
        inventory.keep(Entry("info", {"hostname": "web-1", "python": "3.11.2"}))
        self.assertEqual({i[1]: i[4] for i in inventory.items()}, {
            "info": "d916cf6e0c32a6989ae5608d13c6cd90", "manifest": "8a52da0028e318169137c180d3840bd5"})
        self.assertEqual(inventory.digest(), "7aad0deaf5aff607a3abcb00f1d0a07c")

    def test_parts_join_to_the_whole(self):
        inventory = Inventory("h", "p", "i", "1")
        facts = {f"key{n}": 'ö"\\' * 30 for n in range(6000)}
        entry = entry_of_facts(facts, None, 0.1)
        self.assertTrue(inventory.keep(entry))
        self.assertFalse(inventory.keep(entry_of_facts(facts, None, 0.2)))
        bodies = list(inventory.messages(["p/info"]))
        self.assertGreater(len(bodies), 2)
        self.assertLess(max(map(len, bodies)), 256 << 10)
        parts = [json.loads(b) for b in bodies]
        self.assertEqual([p["part"] for p in parts], list(range(1, len(parts) + 1)))
        whole = "".join(p["chunk"] for p in parts)
        self.assertEqual(control.digest(whole.encode()), parts[0]["digest"])
        self.assertEqual(json.loads(whole), facts)

    def test_errors_are_data(self):
        def f(data, error, code, has_data):
            entry = entry_of_facts(data, error, 0.0)
            self.assertEqual((entry.fault["code"], entry.data is not None), (code, has_data))

        f(None, FileNotFoundError("x"), "not_found", False)
        f(None, PermissionError("x"), "denied", False)
        f(None, ImportError("x"), "dependency", False)
        f(None, TimeoutError("x"), "timeout", False)
        f({"half": 1}, ValueError("x"), "internal", True)
        f([1], None, "invalid", False)
        f({"nan": float("nan")}, None, "invalid", False)
        f({"x": object()}, None, "invalid", False)


if __name__ == "__main__":
    unittest.main()
