import base64
import unittest

from pacewire import _nkeys, _servers
from pacewire._wire import MAX_LINE, Msg, Parser, ProtocolError, format_headers, parse_headers

BLOCK = b"NATS/1.0\r\nA: 1\r\nB:  two \r\n\r\n"
STREAM = (b"PING\r\n+OK\r\nMSG a.b 1 5\r\nhello\r\nMSG a.b 12 reply.to 2\r\n\r\n\r\nHMSG c 1 %d %d\r\n%bxyz\r\n"
          b"HMSG c 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\nPONG\r\n" % (len(BLOCK), len(BLOCK) + 3, BLOCK))


def read(*parts):
    """What a parser makes of bytes that come in parts."""
    out = []
    parser = Parser(lambda sid, m: out.append((sid, m.subject, m.reply, m.headers, m.data, m.status)), out.append)
    for part in parts:
        parser.feed(part)
    return out, parser.pending


class Wire(unittest.TestCase):
    def test_operations(self):
        out, pending = read(STREAM)
        self.assertEqual(pending, 0)
        self.assertEqual(out, [
            b"PING", b"+OK", (b"1", "a.b", "", None, b"hello", ""), (b"12", "a.b", "reply.to", None, b"\r\n", ""),
            (b"1", "c", "", {"A": "1", "B": "two"}, b"xyz", ""), (b"1", "c", "r", {}, b"", "503"), b"PONG"])

    def test_split_anywhere(self):
        whole = read(STREAM)
        for at in range(len(STREAM)):
            self.assertEqual(read(STREAM[:at], STREAM[at:]), whole, at)
        self.assertEqual(read(*(STREAM[i:i + 1] for i in range(len(STREAM)))), whole)

    def test_garbage(self):
        def f(want, data):
            with self.assertRaisesRegex(ProtocolError, want):
                read(data)

        f("3 words", b"MSG a 1\r\n")
        f("7 words", b"MSG a b c d e 1\r\n")
        f("a message of x bytes", b"MSG a 1 x\r\n")
        f("a message of -1 bytes", b"MSG a 1 -1\r\n")
        f("a message of 99999999999 bytes", b"MSG a 1 99999999999\r\n")
        f("a message of 99999999 bytes", b"MSG a 1 99999999\r\n")
        f("longer than it says", b"MSG a 1 2\r\nabcdef\r\n")
        f("headers of 9 bytes in a message of 3", b"HMSG a 1 9 3\r\nabc\r\n")
        f("another protocol", b"HMSG a 1 8 8\r\nNOTNATS!\r\n")
        f("not UTF-8", b"MSG \xff\xfe 1 1\r\na\r\n")
        f("a line of more than", b"x" * (MAX_LINE + 1))

    def test_a_long_message_waits_without_being_read_again(self):
        out, parser = [], None
        parser = Parser(lambda sid, m: out.append(m.data), out.append)
        body = b"x" * (4 << 20)
        parser.feed(b"MSG a 1 %d\r\n" % len(body))
        for at in range(0, len(body), 1 << 12):
            parser.feed(body[at:at + (1 << 12)])
        self.assertEqual((out, parser.pending > len(body)), ([], True))
        parser.feed(b"\r\n")
        self.assertEqual((out, parser.pending), ([body], 0))

    def test_nothing_after_the_end(self):
        out = []
        parser = Parser(lambda sid, m: None, lambda line: (out.append(line), setattr(parser, "stopped", True)))
        parser.feed(b"PING\r\nPING\r\n")
        self.assertEqual(out, [b"PING"])

    def test_headers(self):
        self.assertEqual(parse_headers(format_headers({"Nats-Msg-Id": "a", "X": "ö"})), ("", {"Nats-Msg-Id": "a", "X": "ö"}))
        self.assertEqual(parse_headers(b"NATS/1.0 409 Consumer Deleted\r\n\r\n"), ("409", {"Description": "Consumer Deleted"}))
        self.assertEqual(parse_headers(b"NATS/1.0\r\nA: first\r\nA: second\r\nno colon\r\n\r\n"), ("", {"A": "first"}))
        for headers in ({"": "x"}, {"a:b": "x"}, {"a": "x\r\nB: y"}, {"a\nb": "x"}):
            with self.assertRaises(ValueError):
                format_headers(headers)

    def test_a_message_shows_itself_without_its_data(self):
        self.assertEqual(repr(Msg("a", data=b"secret", status="404")), "Msg('a', 6 bytes, status 404)")


class Servers(unittest.TestCase):
    def test_urls(self):
        def f(text, *want):
            s = _servers.parse_url(text)
            self.assertEqual((s.host, s.port, s.tls, s.user, s.password, s.token), want)

        f("nats://a:1", "a", 1, False, "", "", "")
        f(" a ", "a", 4222, False, "", "", "")
        f("tls://u:p%40ss@b", "b", 4222, True, "u", "p@ss", "")
        f("nats://secret@b:2", "b", 2, False, "", "", "secret")
        f("nats://[::1]:3", "::1", 3, False, "", "", "")
        for bad in ("http://a", "nats://", "nats://a:99999", "nats://a:x"):
            with self.assertRaisesRegex(ValueError, "URL of the bus"):
                _servers.parse_url("nats://user:hunter2@" + bad[7:] if bad.startswith("nats") else bad)

    def test_secrets_are_not_shown(self):
        pool = _servers.Pool("nats://u:hunter2@a:1,tls://topsecret@[::1]:2")
        self.assertEqual(str(pool), "nats://a:1,tls://[::1]:2")
        self.assertNotRegex(repr(list(pool.turn())), "hunter2|topsecret")
        with self.assertRaises(ValueError) as caught:
            _servers.parse_url("nats://u:hunter2@a:x")
        self.assertNotIn("hunter2", str(caught.exception))

    def test_pool(self):
        pool = _servers.Pool("tls://u:p@name:1")
        pool.learn(["10.0.0.1:2", "10.0.0.1:2", "name:1", "http://x", 3, None, "bad host:y"])
        self.assertEqual(sorted(map(str, pool.turn())), ["tls://10.0.0.1:2", "tls://name:1"])
        told = next(s for s in pool.turn() if s.host == "10.0.0.1")
        self.assertEqual((told.user, pool.name_of(told)), ("u", "name"))
        pool.failed(told)
        self.assertEqual(list(pool.turn())[-1], told)
        pool.learn([f"10.0.1.{n}" for n in range(256)])
        self.assertLess(len(pool), 40)
        pool.learn("no list")
        with self.assertRaisesRegex(ValueError, "empty"):
            _servers.Pool(" , ")


def seed(kind=20 << 3, key=bytes(range(32))):
    """The text of the seed of a user's key, or another kind's."""
    raw = bytes([18 << 3 | kind >> 5, (kind & 31) << 3]) + key
    return base64.b32encode(raw + _nkeys._crc16(raw).to_bytes(2, "little")).decode().rstrip("=")


class NKeys(unittest.TestCase):
    def test_seeds(self):
        self.assertTrue(seed().startswith("SU"))
        self.assertEqual(_nkeys.decode_seed(seed()), (20 << 3, bytes(range(32))))
        self.assertTrue(_nkeys.encode_public(20 << 3, bytes(32)).startswith("U"))

        def f(want, text):
            with self.assertRaisesRegex(ValueError, want) as caught:
                _nkeys.decode_seed(text)
            self.assertNotIn(text.strip() or "?", str(caught.exception))

        f("not base32", "su!")
        f("bytes, want 36", "SUAA")
        f("checksum", seed()[:-2] + "AA")
        f("35 bytes, want 36", _nkeys.encode_public(20 << 3, bytes(32)))
        f("no seed", seed(kind=21 << 3))

    def test_signatures(self):
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            self.skipTest("no module for ed25519: install python3-cryptography")
        public, sign = _nkeys.signer(seed())
        raw = base64.b32decode(public)
        self.assertEqual(raw[0], 20 << 3)
        signature = sign(b"nonce")
        Ed25519PublicKey.from_public_bytes(raw[1:33]).verify(base64.urlsafe_b64decode(signature + "=="), b"nonce")
        self.assertNotIn("=", signature)


if __name__ == "__main__":
    unittest.main()
