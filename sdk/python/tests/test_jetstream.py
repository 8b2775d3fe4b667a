import asyncio
import unittest

from bus import PATIENCE, BusCase

from pacewire._jetstream import Refused, Sink, Source
from pacewire._nats import Denied, Disconnected, TooLarge
from pacewire._sink import area_of, parse_answer
from pacewire._wire import Msg

SUBJECT = "pw.metrics.web.cpu"


class Publishing(BusCase):
    async def sink(self, **options):
        self.conn = await self.client()
        return Sink(self.conn, ids="web/cpu", **options)

    async def test_stored_once_in_order(self):
        sink = await self.sink(max_messages=8)
        futures = [await sink.send(SUBJECT, b"%d" % n, content_type="text/plain", headers={"K": "v"}) for n in range(100)]
        self.assertEqual(await asyncio.gather(*futures), list(range(1, 101)))
        for n in (1, 50, 100):
            said = (await self.ask(self.conn, "STREAM.MSG.GET.METRICS", seq=n))["message"]
            self.assertEqual(said["subject"], SUBJECT)
        self.assertEqual((sink.state, sink.stats["stored"], sink.stats["in_flight"], sink.stats["resent"]), ("ok", 100, 0, 0))

    async def test_who_waits_is_not_overtaken(self):
        sink = await self.sink(max_messages=2)
        order = []

        async def one(n):
            await sink.send(SUBJECT, b"%d" % n)
            order.append(n)

        await asyncio.gather(*(one(n) for n in range(40)))
        await sink.flush()
        self.assertEqual(order, list(range(40)))

    async def test_the_window_is_bounded(self):
        sink = await self.sink(max_messages=5, max_bytes=4000)
        self.bus.kill()
        await self.until("the loss is seen", lambda: not self.conn.connected)
        self.assertEqual(sink.state, "disconnected")
        for _ in range(5):
            await sink.send(SUBJECT, b"")
        waits = asyncio.ensure_future(sink.send(SUBJECT, b""))
        await asyncio.sleep(0.05)
        self.assertFalse(waits.done())
        self.assertEqual(sink.stats["in_flight"], 5)
        waits.cancel()
        self.bus.start()
        await asyncio.wait_for(sink.flush(), PATIENCE)
        self.assertEqual(await self.stored(self.conn), 5)

        self.bus.kill()
        await self.until("the loss is seen", lambda: not self.conn.connected)
        large = await sink.send(SUBJECT, bytes(100_000))  # more than the window: alone
        waits = asyncio.ensure_future(sink.send(SUBJECT, b""))
        await asyncio.sleep(0.05)
        self.assertFalse(waits.done())
        self.bus.start()
        await asyncio.wait_for(large, PATIENCE)
        await (await waits)

    async def test_the_same_id_until_it_is_stored(self):
        sink = await self.sink(ack_timeout=0.2)
        lost = 3
        publish, ids = self.conn.publish, []

        def leaky(subject, data, *, reply="", headers=None):
            nonlocal lost
            if subject == SUBJECT:
                ids.append(headers["Nats-Msg-Id"])
                if lost:  # once before the stream has it, twice after
                    lost -= 1
                    if lost == 2:
                        return
                    reply = ""
            publish(subject, data, reply=reply, headers=headers)

        self.conn.publish = leaky
        seq = await asyncio.wait_for(await sink.send(SUBJECT, b"x"), PATIENCE)
        self.assertEqual((seq, len(set(ids)), sink.stats["duplicates"]), (1, 1, 1))
        self.assertGreaterEqual(len(ids), 4)
        self.assertEqual(await self.stored(self.conn), 1)

    async def test_a_bus_that_is_killed(self):
        sink = await self.sink()
        futures = []
        for n in range(300):
            futures.append(await sink.send(SUBJECT, b"%d" % n))
            if n % 100 == 50:
                self.bus.kill()
                await self.until("the loss is seen", lambda: not self.conn.connected)
                self.bus.start()
        await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)
        self.assertEqual(await self.stored(self.conn), 300)
        self.assertEqual(sink.state, "ok")

    async def test_no_stream_for_now(self):
        sink = await self.sink()
        first = await sink.send("pw.none.x", b"")
        await self.until("it is seen", lambda: sink.state == "no_stream")
        await self.ask(self.conn, "STREAM.CREATE.NONE", name="NONE", subjects=["pw.none.>"], storage="memory")
        await asyncio.wait_for(first, PATIENCE)
        await self.until("it is over", lambda: sink.state == "ok")

    async def test_refused_for_good(self):
        sink = await self.sink()
        with self.assertRaises(TooLarge):
            await sink.send(SUBJECT, bytes(2 << 20))
        with self.assertRaisesRegex(ValueError, "subject"):
            await (await sink.send("a b", b""))
        with self.assertRaisesRegex(ValueError, "header"):
            await (await sink.send(SUBJECT, b"", headers={"a": "x\r\ny"}))
        await self.ask(self.conn, "STREAM.CREATE.SMALL", name="SMALL", subjects=["pw.small.>"], storage="memory", max_msg_size=500)
        with self.assertRaises(TooLarge):
            await (await sink.send("pw.small.x", bytes(600)))
        with self.assertRaisesRegex(Refused, "expected stream"):
            await (await sink.send(SUBJECT, b"", headers={"Nats-Expected-Stream": "OTHER"}))
        await (await sink.send(SUBJECT, b"fine"))
        self.assertEqual((sink.stats["refused"], sink.stats["in_flight"], sink.state), (4, 0, "ok"))

    async def test_a_full_stream(self):
        sink = await self.sink()
        await self.ask(self.conn, "STREAM.CREATE.FULL", name="FULL", subjects=["pw.full.>"], storage="memory", max_msgs=1, discard="new")
        await (await sink.send("pw.full.x", b""))
        second = await sink.send("pw.full.x", b"")
        await self.until("it is full", lambda: sink.state == "storage_full")
        await self.ask(self.conn, "STREAM.PURGE.FULL")
        await asyncio.wait_for(second, PATIENCE)
        self.assertEqual(sink.state, "ok")
        self.assertGreater(sink.stats["storage_full"], 0)

    async def test_an_id_that_somebody_used_before(self):
        sink = await self.sink()
        stolen = sink._stem + "1"
        self.conn.publish("pw.metrics.thief.x", b"", headers={"Nats-Msg-Id": stolen})
        await self.conn.flush()
        seqs = await asyncio.gather(*[await sink.send(SUBJECT, b"%d" % n) for n in range(3)])
        self.assertEqual((sorted(seqs), sink.stats["foreign_duplicate"]), ([2, 3, 4], 1))
        given = await (await sink.send(SUBJECT, b"", id="mine"))
        self.assertEqual(await (await sink.send(SUBJECT, b"", id="mine")), given)

    async def test_ids(self):
        sink = await self.sink()
        got = []
        self.conn.subscribe("pw.metrics.>", lambda m: got.append(m.headers["Nats-Msg-Id"]))
        self.conn.subscribe("pw.events.>", lambda m: got.append(m.headers["Nats-Msg-Id"]))
        for subject in (SUBJECT, "pw.events.web.cpu.x", SUBJECT):
            await (await sink.send(subject, b"{}"))
        await self.until("all came", lambda: len(got) == 3)
        stems, numbers = zip(*(i.rsplit("/", 1) for i in got))
        self.assertEqual((len(set(stems)), numbers), (1, ("1", "e1", "2")))
        self.assertRegex(stems[0], r"\Aweb/cpu/[0-9a-f]{16}\Z")

    async def test_closed(self):
        sink = await self.sink(max_messages=1)
        self.bus.kill()
        await self.until("the loss is seen", lambda: not self.conn.connected)
        first = await sink.send(SUBJECT, b"")
        second = asyncio.ensure_future(sink.send(SUBJECT, b""))
        flushes = asyncio.ensure_future(sink.flush())
        await asyncio.sleep(0)
        await self.conn.close()
        for waits in (first, second):
            with self.assertRaises(Disconnected):
                await waits
        await flushes
        sink.close()


class NotPermitted(BusCase):
    flags = ("--user", "collector/web/cpu")

    async def test_denied(self):
        (name, password), = self.bus.users.items()
        client = await self.client(user=name, password=password, inbox=f"_INBOX_{name}")
        sink = Sink(client, ids="web/cpu")
        with self.assertRaises(Denied):
            await asyncio.wait_for(await sink.send("pw.metrics.other.cpu", b""), PATIENCE)
        self.assertEqual(sink.state, "denied")
        await asyncio.wait_for(await sink.send(SUBJECT, b""), PATIENCE)
        self.assertEqual(sink.state, "ok")
        source = Source(client, "METRICS", "theirs")
        with self.assertRaises(Denied):
            await asyncio.wait_for(source.__aiter__().__anext__(), PATIENCE)
        await source.stop()


class Answers(unittest.TestCase):
    def test_what_is_none(self):
        for data in (b"", b"x", b"[]", b"3", b"[" * 100_000, b'{"seq":1}', b'{"stream":"A","seq":0}', b'{"stream":"A","seq":true}', b'{"stream":"A","seq":"1"}',
                     b'{"type":"x","stream":"A","seq":1}', b'{"error":3}', b'{"error":{}}', b'{"error":{"code":"503"}}', b'{"error":{"code":503,"err_code":"x"}}'):
            self.assertIsNone(parse_answer(Msg("s", data=data)), data[:40])
        self.assertIsNone(parse_answer(Msg("s", headers={"a": "b"}, data=b'{"stream":"A","seq":1}')))
        self.assertIsNone(parse_answer(Msg("s", status="404")))
        self.assertTrue(parse_answer(Msg("s", status="503")).nobody)
        self.assertEqual(parse_answer(Msg("s", data=b'{"stream":"A","seq":7,"duplicate":true}')).seq, 7)

    def test_areas(self):
        self.assertEqual([area_of(s) for s in ("pw.metrics.a.b", "pw.events", "x.metrics", "")], ["metrics", "events", "", ""])


class Reading(BusCase):
    async def source(self, messages=0, ack_wait=5.0, max_messages=64, consumer=None, **options):
        self.conn = await self.client()
        await self.put(messages)
        await self.consumer(self.conn, "d", ack_wait, **(consumer or {}))
        return self.reader(max_messages=max_messages, **options)

    def reader(self, client=None, **options):
        source = Source(client or self.conn, "METRICS", "d", **options)
        self.addAsyncCleanup(source.stop)
        return source

    async def put(self, messages):
        sink = Sink(self.conn, ids="web/cpu")
        for n in range(messages):
            await sink.send(SUBJECT, b"%d" % n)
        await sink.flush()
        sink.close()

    async def take(self, source, n):
        """The next n deliveries."""
        out = []
        while len(out) < n:
            out.append(await asyncio.wait_for(source.__aiter__().__anext__(), PATIENCE))
        return out

    async def floor(self, want, pending=0):
        """Waits until the stream knows that all before is settled."""
        async def ok():
            info = await self.ask(self.conn, "CONSUMER.INFO.METRICS.d")
            return info["ack_floor"]["stream_seq"] == want and info["num_ack_pending"] == pending

        await self.until(f"all to {want} is settled", ok)

    async def test_all_in_order(self):
        source = await self.source(200, max_messages=16)
        for n in range(200):
            d, = await self.take(source, 1)
            self.assertEqual((d.data, d.stream_seq, d.deliveries, d.subject), (b"%d" % n, n + 1, 1, SUBJECT))
            self.assertLessEqual(source.stats["queued"], 16)
            self.assertTrue(d.id.endswith(f"/{n + 1}"))
            self.assertGreater(d.stored_ns, 10**18)
            await d.ack()
            await d.ack()  # a second word changes nothing
            d.nak()
        await asyncio.wait_for(source.flush(), PATIENCE)
        await self.floor(200)
        self.assertEqual({k: source.stats[k] for k in ("delivered", "redelivered", "lost_unread", "held", "unconfirmed", "resets")},
                         {"delivered": 200, "redelivered": 0, "lost_unread": 0, "held": 0, "unconfirmed": 0, "resets": 0})

    async def test_what_comes_later(self):
        source = await self.source()
        waits = asyncio.ensure_future(self.take(source, 2))
        await asyncio.sleep(0.05)
        await self.put(2)
        for d in await asyncio.wait_for(waits, PATIENCE):
            await d.ack()
        await self.floor(2)

    async def test_words(self):
        source = await self.source(3)
        a, b, c = await self.take(source, 3)
        self.assertEqual(source.stats["held"], 3)
        a.nak()
        again, = await self.take(source, 1)
        self.assertEqual((again.stream_seq, again.deliveries), (1, 2))
        b.nak(0.05)
        later, = await self.take(source, 1)
        self.assertEqual((later.stream_seq, later.deliveries), (2, 2))
        c.term("no\nuse")
        await again.ack()
        await later.ack()
        await self.floor(3)
        self.assertTrue(c.settled)

    async def test_what_is_in_hand_stays_there(self):
        source = await self.source(4, ack_wait=0.5, progress=0.1)
        held = await self.take(source, 2)  # two are queued
        await asyncio.sleep(1.5)
        held += await self.take(source, 2)
        self.assertEqual([d.deliveries for d in held], [1] * 4)
        for d in held:
            await d.ack()
        await self.floor(4)
        self.assertEqual(source.stats["redelivered"] + source.stats["repeated"], 0)

    async def test_stop_gives_back(self):
        source = await self.source(100, ack_wait=PATIENCE * 10)
        first = await self.take(source, 3)
        await first[1].ack()
        waits = asyncio.ensure_future(self.take(source, 200))
        await self.until("it has been woken", lambda: source.stats["held"] > 50)
        await source.stop()
        with self.assertRaises(StopAsyncIteration):
            await source.__anext__()
        with self.assertRaises(StopAsyncIteration):
            await waits
        await first[0].ack()  # it is another's now
        other = self.reader()
        got = await self.take(other, 99)  # at once, not after the stream's own wait
        self.assertEqual(sorted(d.stream_seq for d in got), [1, *range(3, 101)])
        for d in got:
            await d.ack()
        await self.floor(100)

    async def test_two_readers(self):
        source = await self.source(100, max_messages=4)
        other = self.reader(await self.client(), max_messages=4)
        seen = []

        async def read(source):
            async for d in source:
                seen.append(d.stream_seq)
                await d.ack()

        tasks = [asyncio.ensure_future(read(s)) for s in (source, other, source)]
        await self.until("all came", lambda: len(seen) >= 100)
        await self.floor(100)
        await source.stop()
        await other.stop()
        await asyncio.gather(*tasks)
        self.assertEqual(sorted(seen), list(range(1, 101)))

    async def test_acks_of_a_lost_connection(self):
        source = await self.source(20)
        held = await self.take(source, 10)
        self.bus.kill()
        await self.until("the loss is seen", lambda: not self.conn.connected)
        for d in held:
            await d.ack()
        self.bus.start()
        rest = await self.take(source, 10)
        self.assertEqual(sorted(d.stream_seq for d in held + rest), list(range(1, 21)))
        for d in rest:
            await d.ack()
        # What the bus had not written comes again: to who reads, who knows it.
        waits = asyncio.ensure_future(source.__anext__())
        await asyncio.wait_for(source.flush(), PATIENCE)
        await self.floor(20)
        self.assertFalse(waits.done())
        await source.stop()
        with self.assertRaises(StopAsyncIteration):
            await waits

    async def test_acks_that_got_lost(self):
        source = await self.source(10, ack_wait=1.0)
        publish, lost = self.conn.publish, []

        def leaky(subject, data, *, reply="", headers=None):
            if data == b"+ACK" and len(lost) < 3:
                lost.append(subject)
                return
            publish(subject, data, reply=reply, headers=headers)

        self.conn.publish = leaky
        for d in await self.take(source, 10):
            await d.ack()
        await self.floor(10)
        await asyncio.wait_for(source.flush(), PATIENCE)
        self.assertEqual((source.stats["delivered"], len(lost)), (10, 3))

    async def test_a_settled_one_that_comes_again_is_settled_again(self):
        source = await self.source(2, ack_wait=0.3, progress=0.1)
        publish, deaf = self.conn.publish, True
        self.conn.publish = lambda subject, data, **more: None if deaf and subject.startswith("$JS.ACK") else publish(subject, data, **more)
        for d in await self.take(source, 2):
            await d.ack()
        await self.until("they came again", lambda: source.__aiter__() and source._next() is None and source.stats["repeated"] > 1)
        deaf = False
        await self.floor(2)
        self.assertEqual(source.stats["delivered"], 2)

    async def test_a_consumer_that_goes(self):
        source = await self.source(1)
        d, = await self.take(source, 1)
        await d.ack()
        await self.floor(1)
        waits = asyncio.ensure_future(self.take(source, 1))
        await self.ask(self.conn, "CONSUMER.DELETE.METRICS.d")
        await self.put(1)
        await asyncio.sleep(0.6)  # it asks, and is told that there is none
        self.assertFalse(waits.done())
        await self.consumer(self.conn, "d", opt_start_seq=2, deliver_policy="by_start_sequence")
        d, = await waits
        await d.ack()
        await self.floor(2)

    async def test_pulls_that_run_out(self):
        source = await self.source(0, expires=0.3)
        waits = asyncio.ensure_future(self.take(source, 1))
        await asyncio.sleep(1.0)
        await self.put(1)
        d, = await waits
        await d.ack()
        self.assertEqual(source.stats["resets"], 0)

    async def test_statuses(self):
        source = await self.source(0)
        waits = asyncio.ensure_future(self.take(source, 1))
        await asyncio.sleep(0)
        for status, about in (("408", "Request Timeout"), ("409", "Message Size Exceeds MaxBytes"), ("409", "Leadership Change"), ("404", "No Messages"),
                              ("503", ""), ("999", "?"), ("100", "Idle Heartbeat")):
            for lane in source._lanes:
                pull = lane.pull
                source._on_msg(lane, Msg(lane.reply, status=status, headers={"Description": about}))
                source._on_msg(lane, Msg(lane.inbox + "0", status=status))  # of a pull of before
                at_once = status == "408" or about.startswith("Message Size")
                self.assertEqual(lane.pull - pull, at_once and source._client.connected, (status, about))
                lane.retry = 0.0
        for reply in ("", "x", "$JS.ACK.", "$JS.ACK.a.b.1.2.3.4", "$JS.ACK.a.b.1.2.x.4.5", "$JS.ACK.a.b.1.2.3.4." + "9" * 30):
            source._on_msg(source._lanes[0], Msg("t", reply))
        self.assertEqual(source.stats["queued"], 0)
        await self.put(1)
        d, = await waits
        await d.ack()

    async def test_an_end(self):
        source = await self.source(5, end=3)
        for d in await self.take(source, 3):
            await d.ack()
        waits = asyncio.ensure_future(source.__anext__())
        await self.floor(5)
        self.assertFalse(waits.done())
        await source.stop()
        with self.assertRaises(StopAsyncIteration):
            await waits

    async def test_who_gives_up_waiting_takes_nothing_with_him(self):
        source = await self.source()
        for _ in range(5):
            waits = asyncio.ensure_future(source.__aiter__().__anext__())
            await asyncio.sleep(0)
            waits.cancel()
        stays = asyncio.ensure_future(self.take(source, 1))
        await self.put(1)
        d, = await stays
        await d.ack()

    async def test_a_client_that_is_closed(self):
        source = await self.source(3)
        first, *_ = await self.take(source, 3)
        self.bus.kill()
        await self.until("the loss is seen", lambda: not self.conn.connected)
        await first.ack()
        waits, flushes = asyncio.ensure_future(source.__anext__()), asyncio.ensure_future(source.flush())
        await asyncio.sleep(0)
        await self.conn.close()
        with self.assertRaises(StopAsyncIteration):
            await waits
        with self.assertRaises(Disconnected):
            await flushes
        await source.stop()

    async def test_dead_letters_given_again(self):
        source = await self.source()
        await self.ask(self.conn, "CONSUMER.DURABLE.CREATE.DEAD.d", stream_name="DEAD",
                       config={"durable_name": "d", "ack_policy": "explicit", "filter_subject": "pw.again.d"})
        source = Source(self.conn, "DEAD", "d")
        self.addAsyncCleanup(source.stop)
        self.conn.publish("pw.again.d", b"x", headers={"Pw-Subject": SUBJECT, "Pw-Source-Id": "a/b/c/1", "Pw-Stored": "2026-01-02T03:04:05.5Z"})
        d, = await self.take(source, 1)
        self.assertEqual((d.subject, d.id, d.stored_ns, d.again), (SUBJECT, "a/b/c/1", 1767323045500000000, True))
        await d.ack()

    async def test_batches_that_the_stream_dropped(self):
        source = await self.source()
        sink = Sink(self.conn, ids="web/cpu")
        for n in (1, 2, 5, 4, 6):  # 4 is late, 3 never comes
            await sink.send(SUBJECT, b"", id=f"web/cpu/boot/{n}")
        for d in await self.take(source, 5):
            await d.ack()
        self.assertEqual(source.stats["lost_unread"], 1)


if __name__ == "__main__":
    unittest.main()
