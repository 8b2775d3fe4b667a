import asyncio
import unittest

import pacewire as pw
from agent import HOST, NAME, LifeCase
from bus import PATIENCE


class NoRespondersError(Exception):
    """As nats-py calls it."""


class Theirs:
    """The interface of nats-py, as far as it is used, over a client of ours."""

    def __init__(self, client):
        self.client = client

    @property
    def is_connected(self):
        return self.client.connected

    @property
    def max_payload(self):
        return self.client.max_payload

    def new_inbox(self):
        return self.client.new_inbox()

    async def publish(self, subject, payload=b"", reply="", headers=None):
        await asyncio.sleep(0)
        self.client.publish(subject, payload, reply=reply, headers=headers)

    async def subscribe(self, subject, queue="", cb=None):
        def told(msg):
            if msg.status:
                msg.headers = {**(msg.headers or {}), "Status": msg.status}
            asyncio.ensure_future(cb(msg))

        await asyncio.sleep(0)
        self.sub = self.client.subscribe(subject, told, queue=queue)
        return self

    async def unsubscribe(self):
        """Ends a subscription; which one does not matter here."""

    async def flush(self, timeout=10):
        await self.client.flush(timeout)

    async def request(self, subject, payload=b"", timeout=0.5, headers=None):
        try:
            return await self.client.request(subject, payload, headers=headers, timeout=timeout)
        except Exception as err:
            raise NoRespondersError(str(err)) if type(err).__name__ == "NoResponders" else err


class HandedIn(LifeCase):
    async def test_a_publisher_on_a_connection_that_is_there(self):
        app, got = pw.App("sink"), []

        @app.publish
        def sink(metrics):
            got.extend(m.data for m in metrics)

        client = await self.client(inbox=f"_INBOX_{HOST}_{NAME}")
        durable = {"durable_name": NAME, "ack_policy": "explicit", "ack_wait": int(30e9), "deliver_policy": "all", "filter_subject": "pw.metrics.h1.src"}
        await self.ask(self.bus_client, f"CONSUMER.DURABLE.CREATE.METRICS.{NAME}", stream_name="METRICS", config=durable)
        self.agent.offers(1, {}, inputs=[{"stream": "METRICS", "durable": NAME}])
        work = asyncio.ensure_future(app.serve(Theirs(client), host=HOST, name=NAME))
        await self.state("running")
        await self.give(pw.point("n", v=1))
        await self.settled()
        self.assertEqual(got, [1])
        n = len(self.agent.beats)
        await self.until("beats", lambda: len(self.agent.beats) > n)
        work.cancel()
        await asyncio.wait({work}, timeout=PATIENCE)
        self.assertTrue(work.cancelled())
        self.assertEqual(self.agent.last["bye"], "shutdown")
        self.assertTrue(client.connected)

    async def test_by_address(self):
        app = pw.App("fan")

        @app.collect
        def fan():
            return pw.point("fan", rpm=1.0)

        points = self.heard()
        self.agent.offers(1, {}, every_ms=50)
        work = asyncio.ensure_future(app.serve(self.bus.url, host=HOST, name=NAME))
        await self.until("points", lambda: points)
        await self.agent.ask("drain")
        await asyncio.wait_for(work, PATIENCE)

    async def test_one_that_is_not_connected(self):
        client = await self.client()
        await client.close()
        with self.assertRaisesRegex(Exception, "handed in is not connected"):
            await pw.Collector("fan").serve(Theirs(client), host=HOST, name=NAME)


if __name__ == "__main__":
    unittest.main()
