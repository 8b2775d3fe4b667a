import asyncio
import contextlib
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import unittest
from unittest import mock

from bus import PATIENCE, BusCase
from scripted import Scripted, pongs, says
from test_wire import STREAM, seed

from pacewire._nats import Client, Denied, Disconnected, Error, NoResponders, TooLarge


class Plain(BusCase):
    async def test_publish_and_subscribe(self):
        a, b = await self.client(name="a"), await self.client()
        got, shared = [], []
        sub = a.subscribe("t.*", lambda m: got.append((m.subject, m.data, m.headers, m.reply)))
        for n in range(2):
            a.subscribe("t.>", lambda m, n=n: shared.append(n), queue="q")
        await a.flush()
        b.publish("t.x", b"1")
        b.publish("t.y", b"", reply="r", headers={"K": "v"})
        await b.flush()
        await self.until("both came", lambda: len(got) == 2 and len(shared) == 2)
        self.assertEqual(got, [("t.x", b"1", None, ""), ("t.y", b"", {"K": "v"}, "r")])
        sub.end()
        await a.flush()
        b.publish("t.x", b"unheard")
        await b.flush()
        await self.until("the others came", lambda: len(shared) == 3)
        sub.unsubscribe()
        self.assertEqual(len(got), 2)
        self.assertGreater(b.bytes_out, 0)

    async def test_requests(self):
        a, b = await self.client(), await self.client()
        b.subscribe("echo", lambda m: b.publish(m.reply, m.data.upper()))
        b.subscribe("deaf", lambda m: None)
        await b.flush()
        self.assertEqual([m.data for m in await asyncio.gather(*(a.request("echo", b"x%d" % n) for n in range(50)))],
                         [b"X%d" % n for n in range(50)])
        with self.assertRaisesRegex(NoResponders, "nobody.there"):
            await a.request("nobody.there", b"")
        with self.assertRaises(asyncio.TimeoutError):
            await a.request("deaf", b"", timeout=0.05)
        waits = asyncio.ensure_future(a.request("deaf", b"", timeout=PATIENCE))
        await asyncio.sleep(0)
        self.bus.kill()
        with self.assertRaisesRegex(Disconnected, "before the answer"):
            await waits
        self.assertEqual(a._asked, {})

    async def test_what_cannot_be_sent(self):
        a = await self.client()
        for subject in ("", "a b", "a\r\nPUB x 0", "a\t"):
            with self.assertRaisesRegex(ValueError, "subject"):
                a.publish(subject, b"")
            with self.assertRaisesRegex(ValueError, "subject"):
                a.subscribe(subject, print)
        with self.assertRaises(ValueError):
            a.publish("a", b"", headers={"x": "1\r\n\r\n"})
        got = []
        a.subscribe("big", lambda m: got.append(len(m.data)))
        a.publish("big", bytes(a.max_payload))
        with self.assertRaisesRegex(TooLarge, "the server takes"):
            a.publish("big", bytes(a.max_payload + 1))
        await self.until("the largest one came", lambda: got == [a.max_payload])
        self.assertTrue(a.connected)

    async def test_comes_back(self):
        told = []
        a = await self.client(on_connect=lambda: told.append("up"), on_disconnect=lambda err: told.append(type(err).__name__))
        got = []
        a.subscribe("t", lambda m: got.append(m.data))
        gone = a.subscribe("gone", lambda m: got.append("gone"))
        for n in range(2):
            self.bus.kill()
            await self.until("the loss is seen", lambda: not a.connected)
            with self.assertRaises(Disconnected):
                a.publish("t", b"late")
            with self.assertRaises(Disconnected):
                await a.flush()
            with self.assertRaises(Disconnected):
                await a.request("t", b"")
            await a.ready()  # does not wait
            gone.unsubscribe()
            a.subscribe("made.away", lambda m: got.append(m.data))
            self.bus.start()
            await self.until("it is back", lambda: a.connected)
            a.publish("t", b"%d" % n)
            a.publish("gone", b"")
            a.publish("made.away", b"away")
            await a.flush()
        await self.until("all came", lambda: len(got) == 5)
        self.assertEqual(got, [b"0", b"away", b"1", b"away", b"away"])
        self.assertEqual(told, ["up", "Disconnected", "up", "Disconnected", "up"])

    async def test_an_error_of_a_callback_is_not_one_of_the_connection(self):
        a = await self.client()
        a.subscribe("t", lambda m: 1 // 0)
        a.publish("t", b"")
        await self.until("it was told", lambda: self.strays)
        self.assertIn("ZeroDivisionError", self.strays.pop())
        await a.flush()

    async def test_close(self):
        a, got = await self.client(), []
        b = await self.client()
        b.subscribe("t", lambda m: got.append(m.data))
        await b.flush()
        a.publish("t", b"last")
        await a.close()
        await a.close()
        await self.until("what was published before has left", lambda: got == [b"last"])
        with self.assertRaises(Disconnected):
            a.publish("t", b"")
        with self.assertRaises(Disconnected):
            await a.connect()


class Nobody(unittest.IsolatedAsyncioTestCase):
    async def test_no_server(self):
        async with Scripted(pongs) as server:
            url = server.url
        errors = []
        client = Client(url, on_error=errors.append)
        with self.assertRaisesRegex(Disconnected, f"no bus at {url} within 0.05 s"):
            await client.connect(0.05)
        client = Client(url)
        waits = asyncio.ensure_future(client.connect())
        await asyncio.sleep(0.05)
        await client.close()
        with self.assertRaises(Disconnected):
            await waits

    async def test_a_connect_that_is_given_up_leaves_nothing(self):
        async with Scripted(says(b"")) as server:
            client = Client(server.url)
            waits = asyncio.ensure_future(client.connect())
            while not server.connections:
                await asyncio.sleep(0.01)
            waits.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await waits
            self.assertEqual({t for t in asyncio.all_tasks() if "Client" in str(t)}, set())


class Users(BusCase):
    flags = ("--user", "collector/web/cpu")

    async def test_passwords(self):
        (name, password), = self.bus.users.items()
        with self.assertRaisesRegex(Denied, "Authorization Violation"):
            await Client(self.bus.url, user=name, password="wrong").connect(PATIENCE)
        with self.assertRaises(Denied) as caught:
            await Client(self.bus.url.replace("://", f"://{name}:hunter2@")).connect(PATIENCE)
        self.assertNotIn("hunter2", str(caught.exception))
        errors = []
        late = Client(self.bus.url, user=name, password="old", on_error=errors.append)
        self.addAsyncCleanup(late.close)
        waits = asyncio.ensure_future(late.connect())  # for ever
        await self.until("it was refused", lambda: errors)
        self.assertIsInstance(errors[0], Denied)
        late.password = password
        await waits
        await (await self.client(url=self.bus.url.replace("://", f"://{name}:{password}@"))).flush()

    async def test_what_is_not_permitted(self):
        (name, password), = self.bus.users.items()
        errors = []
        a = await self.client(user=name, password=password, inbox=f"_INBOX_{name}", on_error=errors.append)
        a.publish("pw.metrics.other.cpu", b"")
        a.subscribe("pw.>", lambda m: None)
        await self.until("both were refused", lambda: len(errors) == 2)
        self.assertEqual({(e.subject, e.subscribe) for e in errors}, {("pw.metrics.other.cpu", False), ("pw.>", True)})
        with self.assertRaises(Denied):
            await a.request("pw.metrics.other.cpu", b"", timeout=PATIENCE)
        self.assertTrue(a.connected)

    async def test_answers_that_may_not_be_heard(self):
        (name, password), = self.bus.users.items()
        a = await self.client(user=name, password=password, inbox="_INBOX_other")
        with self.assertRaises(Denied) as caught:
            await a.request("pw.metrics.web.cpu", b"", timeout=PATIENCE)
        self.assertTrue(caught.exception.subscribe)


class Encrypted(BusCase):
    async def asyncSetUp(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl to make certificates with: install it")
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        for name in ("bus", "other"):
            self.certificate(name)
        self.flags = ("--tls-cert", str(self.dir / "bus.pem"), "--tls-key", str(self.dir / "bus.key"))
        await super().asyncSetUp()

    def certificate(self, name):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1", "-out", self.dir / f"{name}.pem", "-keyout", self.dir / f"{name}.key"],
            check=True, capture_output=True)

    def trusts(self, name):
        return ssl.create_default_context(cafile=os.fspath(self.dir / f"{name}.pem"))

    async def test_tls(self):
        a = await self.client(tls=self.trusts("bus"))
        got = []
        a.subscribe("t", lambda m: got.append(len(m.data)))
        a.publish("t", bytes(1 << 19))
        await self.until("it came", lambda: got == [1 << 19])
        self.bus.kill()
        await self.until("the loss is seen", lambda: not a.connected)
        self.bus.start()
        await self.until("it is back", lambda: a.connected)
        a.publish("t", b"1")
        await self.until("it came again", lambda: len(got) == 2)

    async def test_who_is_not_trusted(self):
        async def f(want, **options):
            errors = []
            client = Client(options.pop("url", self.bus.url), on_error=errors.append, **options)
            waits = asyncio.ensure_future(client.connect())
            await self.until("it was refused", lambda: errors)
            await client.close()
            with self.assertRaises(Disconnected):
                await waits
            self.assertRegex(str(errors[0]), want)

        await f("(?i)certificate", tls=self.trusts("other"))
        await f("(?i)certificate")  # the server asks for it, and the system does not know the authority
        await f("(?i)certificate|match", tls=self.trusts("bus"), url=self.bus.url.replace("127.0.0.1", "localhost"))

    async def test_no_way_around(self):
        async with Scripted(says(b'INFO {"max_payload":1024}\r\n'), says(b'INFO {"tls_required":true}\r\n-ERR \'x\'\r\n')) as server:
            errors = []
            client = Client(server.url, tls=self.trusts("bus"), password="hunter2", user="u", on_error=errors.append)
            waits = asyncio.ensure_future(client.connect())
            await self.until("both were refused", lambda: len(errors) > 1)
            await client.close()
            with self.assertRaises(Disconnected):
                await waits
            self.assertIn("does not speak TLS", str(errors[0]))
            self.assertIn("before the encryption", str(errors[1]))
            self.assertEqual(server.said, [])


class Rough(unittest.IsolatedAsyncioTestCase):
    """Servers that do what none should."""

    def setUp(self):
        patch = mock.patch("pacewire._nats._FIRST_PAUSE", 0.02)
        patch.start()
        self.addCleanup(patch.stop)

    async def until(self, ok):
        end = asyncio.get_running_loop().time() + PATIENCE
        while not ok():
            self.assertLess(asyncio.get_running_loop().time(), end)
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def connected(self, *talks, **options):
        async with Scripted(*talks) as server:
            client = Client(server.url, **options)
            try:
                await client.connect(PATIENCE)
                yield server, client
            finally:
                await client.close()

    async def test_garbage_for_a_greeting(self):
        garbage = [b"\x00\xff" * 100 + b"\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"INFO \r\n", b"INFO 3\r\n", b"INFO {\r\n", b"PONG\r\n" * 5 + b"MSG a 1 1\r\nx\r\n",
                   b"INFO " + b"[" * 60000 + b"\r\n", b"x" * 200_000, b"MSG a 1 1\r\nx\r\n", b"INFO {}\r\nMSG\r\n", b"INFO {}\r\n-ERR 'Authorization Violation'\r\n",
                   b'INFO {"max_payload":"x","connect_urls":{"a":1}}\r\nnonsense\r\n', b'INFO {"connect_urls":["nats://a..b:1"]}\r\nnonsense\r\n']
        for data in garbage:
            async def good(reader, writer):
                await server.greet(reader, writer)
                await pongs(reader, writer)

            errors = []
            async with Scripted(says(data), good) as server:
                client = Client(server.url, on_error=errors.append)
                try:
                    await asyncio.wait_for(client.connect(), PATIENCE)
                    await client.flush(PATIENCE)
                finally:
                    await client.close()
            self.assertIsInstance(errors[0], Error, data[:40])

    async def test_garbage_later(self):
        for data in (b"nonsense\r\n", b"MSG x\r\n", b"INFO [\r\n", b"-ERR 'Stale Connection'\r\n", b"x" * 200_000, b"MSG a 1 9999999999\r\n"):
            lost = []

            async def bad(reader, writer):
                await server.greet(reader, writer)
                writer.write(data)
                await asyncio.Event().wait()

            async def good(reader, writer):
                await server.greet(reader, writer)
                await pongs(reader, writer)

            async with Scripted(bad, good) as server:
                client = Client(server.url, on_disconnect=lost.append)
                try:
                    await client.connect(PATIENCE)
                    await self.until(lambda: lost and client.connected)
                    await client.flush(PATIENCE)
                finally:
                    await client.close()
            self.assertIsInstance(lost[0], Error, data[:40])

    async def test_one_byte_at_a_time(self):
        async def slow(reader, writer):
            await server.greet(reader, writer)
            for at in range(len(STREAM)):
                writer.write(STREAM[at:at + 1])
                await writer.drain()
                await asyncio.sleep(0)
            await pongs(reader, writer)

        async with Scripted(slow) as server:
            client, got = Client(server.url), []
            client.subscribe("a.b", lambda m: got.append(m.data))
            await client.connect(PATIENCE)
            await self.until(lambda: len(got) == 3)
            self.assertEqual(got, [b"hello", b"xyz", b""])
            self.assertTrue(client.connected)
            await client.close()

    async def test_a_server_that_says_nothing_any_more(self):
        async def mute(reader, writer):
            await server.greet(reader, writer)
            while await reader.read(1 << 16):
                pass

        lost = []
        async with Scripted(mute) as server:
            client = Client(server.url, ping_interval=0.02, on_disconnect=lost.append)
            await client.connect(PATIENCE)
            with self.assertRaises(Disconnected):
                await client.flush(PATIENCE)
            self.assertIn("says nothing", str(lost[0]))
            await self.until(lambda: server.connections > 1)
            await client.close()

    async def test_a_server_that_does_not_read(self):
        reads = asyncio.Event()

        async def full(reader, writer):
            await server.greet(reader, writer)
            writer.transport.pause_reading()
            writer.write(b"PING\r\n" * 1000)
            await reads.wait()
            writer.transport.resume_reading()
            while await reader.read(1 << 20):
                pass

        async with Scripted(full) as server:
            client = Client(server.url, ping_interval=PATIENCE)
            await client.connect(PATIENCE)
            with self.assertRaisesRegex(Error, "does not read"):
                for _ in range(1000):
                    client.publish("t", bytes(1 << 20))
                    await asyncio.sleep(0)
            self.assertTrue(client.connected)
            waits = asyncio.ensure_future(client.ready())
            await asyncio.sleep(0.05)
            self.assertFalse(waits.done())
            reads.set()
            await asyncio.wait_for(waits, PATIENCE)
            client.publish("t", b"")
            await client.close()

    async def test_flush_has_a_limit(self):
        async def mute(reader, writer):
            await server.greet(reader, writer)
            while await reader.read(1 << 16):
                pass

        async with Scripted(mute) as server:
            client = Client(server.url, ping_interval=PATIENCE)
            await client.connect(PATIENCE)
            with self.assertRaises(asyncio.TimeoutError) as caught:
                await client.flush(0.02)
            self.assertNotIsInstance(caught.exception, Disconnected)
            await client.close()

    async def test_another_server_that_the_first_one_knows(self):
        async def second_talk(reader, writer):
            await second.greet(reader, writer)
            await pongs(reader, writer)

        async def leaves(reader, writer):
            await first.greet(reader, writer, connect_urls=[second.url.partition("://")[2]])
            writer.write(b'INFO {"ldm":true}\r\n')
            await pongs(reader, writer)

        async with Scripted(second_talk) as second, Scripted(leaves) as first:
            client = Client(first.url, user="u", password="p")
            await client.connect(PATIENCE)
            await self.until(lambda: second.said and client.connected)
            self.assertEqual((second.said[0]["user"], second.said[0]["pass"]), ("u", "p"))
            await client.close()

    async def test_who_we_are(self):
        async def talk(reader, writer):
            await server.greet(reader, writer, nonce="abc")
            await pongs(reader, writer)

        async def f(url_user="", **options):
            nonlocal server
            async with Scripted(talk) as server:
                client = Client(server.url.replace("://", "://" + url_user), **options)
                await client.connect(PATIENCE)
                await client.close()
                return server.said[0]

        server = None
        self.assertEqual((await f(token="t"))["auth_token"], "t")
        self.assertEqual((await f("t@"))["auth_token"], "t")
        hello = await f("u:p@", name="me")
        self.assertEqual((hello["user"], hello["pass"], hello["name"], hello["headers"]), ("u", "p", "me", True))
        self.assertNotIn("nkey", hello)
        try:
            hello = await f(nkey_seed=seed())
        except Error as err:
            self.assertIn("cryptography", str(err))
            self.skipTest(str(err))
        self.assertTrue(hello["nkey"].startswith("U"))
        self.assertEqual(len(hello["sig"]), 86)
        with self.assertRaisesRegex(Error, "nkey seed"):
            Client("nats://a", nkey_seed="SUBAD")


if __name__ == "__main__":
    unittest.main()
