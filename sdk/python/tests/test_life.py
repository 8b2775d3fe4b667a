import asyncio
import unittest

import pacewire as pw
from agent import HOST, LOG, NAME, LifeCase
from bus import PATIENCE
from pacewire._errors import Refused
from pacewire._life import Life
from pacewire._nats import Disconnected
from pacewire._options import Options


class Fan(pw.Collector):
    """Speed of fans. What follows is no summary.

    Nor is this.
    """

    config = pw.ConfigPolicy(pw.IntegerRule("limit", default=9000, minimum=1), pw.StringRule("fail"))

    def __init__(self):
        super().__init__("fan", 1)
        self.said = []

    def start(self):
        self.said.append(f"start {self.config.limit}")
        if self.config.fail:
            raise pw.Permanent(self.config.fail)

    def stop(self):
        self.said.append(f"stop {self.config.limit}")

    def update_catalog(self, config):
        yield pw.Metric(("acme", "fan", pw.dynamic("slot", "bay"), "rpm"), unit="rpm")

    def collect(self, metrics):
        self.given = metrics
        yield pw.Metric(("acme", "fan", pw.dynamic("slot", value="a"), "rpm"), data=900.0)
        yield pw.Metric(("acme", "fan", pw.dynamic("slot", value="a"), "share"), data=900 / self.config.limit)


class Lives(LifeCase):
    async def test_hello_work_goodbye(self):
        points = self.heard()
        fan = Fan()
        await self.serve(fan, 7, {"limit": 1800}, every_ms=50, tags={"site": "x"})
        await self.state("running", 7)
        await self.until("points", lambda: len(points) > 2)
        point = points[0]
        self.assertEqual((point.series, point.tags, point.fields),
                         ("acme_fan", {"slot": "a", "host": HOST, "site": "x"}, {"rpm": 900.0, "share": 0.5}))
        self.assertEqual(fan.given[0].config.limit, 1800)
        hello = self.agent.beats[0]
        self.assertTrue(hello["hello"])
        manifest = hello["manifest"]
        self.assertEqual((manifest["kind"], manifest["program"], manifest["version"], manifest["summary"]),
                         ("collector", "fan", "1.0.0", "Speed of fans. What follows is no summary."))
        self.assertEqual(manifest["catalog"], [{"series": "acme_fan", "tags": {"slot": "bay"}, "fields": {"rpm": "rpm"}}])
        self.assertEqual(manifest["schema"]["properties"]["limit"]["minimum"], 1)
        await self.drained()
        self.assertEqual((self.agent.last["state"], self.agent.last["bye"]), ("draining", "shutdown"))
        self.assertEqual(fan.said, ["start 1800", "stop 1800"])

    async def test_refused(self):
        await self.serve(Fan(), 0)
        self.agent.offer = {"state": "refused", "reason": "no plugin of this name"}
        with self.assertRaisesRegex(Refused, "no plugin of this name"):
            await asyncio.wait_for(self.work, PATIENCE)
        self.work = asyncio.ensure_future(asyncio.sleep(0))

    async def test_a_config_that_is_wrong_leaves_the_old_one(self):
        fan = Fan()
        await self.serve(fan, 1, {"limit": 1}, every_ms=1000)
        await self.state("running", 1)
        self.agent.offers(2, {"limit": 0})
        await self.until("config_invalid", lambda: self.agent.last.get("err", {}).get("code") == "config_invalid")
        self.assertEqual(self.agent.last["cfg_rev"], 1)
        self.assertIn("limit is 0: want at least 1", self.agent.last["err"]["message"])
        self.agent.offers(3, {"limit": 3, "fail": "no fan"})  # fits the schema, and fails at start
        await self.until("no fan", lambda: self.agent.last.get("err", {}).get("message") == "no fan")
        await self.state("running", 1)
        self.agent.offers(4, {"limit": 4})
        await self.state("running", 4)
        self.assertEqual(fan.said, ["start 1", "stop 1", "start 3", "stop 3", "start 1", "stop 1", "start 4"])

    async def test_first_config_wrong_then_right(self):
        await self.serve(Fan(), 1, {"limit": "x"})
        await self.state("failed", 0)
        self.agent.offers(2, {})
        await self.state("running", 2)

    async def test_what_cannot_be_kept_is_refused(self):
        await self.serve(Fan(), 1, {}, order="source")
        await self.state("failed", 0)
        self.assertIn("order: source", self.agent.last["err"]["message"])
        self.agent.offers(2, {}, schedule={"cron": "61 * * * *"})
        await self.until("cron", lambda: "cron word" in self.agent.last["err"]["message"])

    async def test_requests(self):
        await self.serve(Fan(), every_ms=50)
        await self.state("running")
        await self.until("ticks", lambda: self.agent.last["stats"].get("ticks", 0) > 1)
        ping = await self.agent.ask("ping")
        self.assertTrue(ping["ok"])
        self.assertGreater(ping["payload"]["ticks"], 1)
        reply = await self.agent.ask("refresh", want=["*"], mode="cached")
        self.assertEqual([item[:2] for item in reply["payload"]["inv_list"]], [[NAME, "manifest"]])
        await self.until("manifest", lambda: self.agent.facts)
        self.assertEqual(self.agent.facts[0]["data"]["program"], "fan")
        reply = await self.agent.ask("dance")
        self.assertEqual((reply["ok"], reply["error"]["code"]), (False, "not_found"))
        hellos = sum("hello" in b for b in self.agent.beats)
        await self.agent.ask("beat")
        await self.until("hello again", lambda: sum("hello" in b for b in self.agent.beats) > hellos)
        await self.agent.ask("drain", args={"reason": "upgrade"})
        await asyncio.wait_for(asyncio.shield(self.work), PATIENCE)
        self.assertEqual(self.agent.last["bye"], "upgrade")

    async def test_only_watchers_may_ask(self):
        await self.serve(Fan())
        await self.state("running")
        stranger = await self.client(inbox="_INBOX_other")
        answers = []
        stranger.subscribe("_INBOX_other.>", answers.append)
        stranger.publish(f"pw.ctl.{HOST}.{NAME}.drain", b'{"id":"1"}', reply="_INBOX_other.x")
        stranger.publish(f"pw.ctl.{HOST}.{NAME}.drain", b"{", reply=f"_INBOX_{HOST}_agent.x")
        await stranger.flush()
        await self.until("refused", lambda: self.agent.last.get("err", {}).get("code") == "request")
        self.assertEqual((answers, self.agent.last["state"]), ([], "running"))

    async def test_nobody_watches(self):
        points = self.heard()
        await self.serve(Fan(), every_ms=50)
        await self.state("running")
        self.agent.silent = True
        await self.until("unanswered", lambda: self.agent.last["ack_lost"] > 0)
        n = len(points)
        await self.until("work goes on", lambda: len(points) > n + 2)
        self.agent.silent = False
        await self.until("answered", lambda: self.life.pulse.missed_in_row == 0)

    async def test_bus_restarts(self):
        points = self.heard()
        await self.serve(Fan(), every_ms=50)
        await self.until("points", lambda: points)
        self.bus.kill()
        self.bus.start()
        n = len(points)
        await self.until("points again", lambda: len(points) > n)
        await self.state("running")

    async def test_held_until_the_word(self):
        points = self.heard()
        fan = Fan()
        self.agent.offer = {"flags": ["hold"]}
        await self.serve(fan, 0)
        self.agent.offers(1, {}, every_ms=50, flags=["hold"])
        await self.state("ready", 1)
        await self.flagged("exclusive")
        self.assertEqual((points, fan.said), ([], ["start 9000"]))
        self.agent.offer.pop("flags")
        await self.state("running", 1)
        await self.until("points", lambda: points)

    async def test_a_catalog_that_fails_is_no_reason_not_to_live(self):
        class Odd(pw.Collector):
            def update_catalog(self, config):
                raise ValueError("no catalog today")

            def collect(self, metrics):
                """Is never reached: the metrics cannot be told."""

        await self.serve(Odd("odd"), every_ms=50)
        await self.until("failed", lambda: self.agent.last["state"] == "failed")
        self.assertEqual(self.agent.last["err"]["message"], "no catalog today")

    async def test_health_does_not_keep_a_beat(self):
        back = asyncio.Event()

        class Ill(pw.StreamCollector):
            said = "it is warm"

            async def stream(self, metrics):
                await asyncio.Event().wait()
                yield

            def health(self):
                if self.said:
                    return self.said
                asyncio.run_coroutine_threadsafe(back.wait(), loop).result()
                raise OSError("it is cold")

        loop, ill = asyncio.get_running_loop(), Ill("ill")
        await self.serve(ill)
        await self.until("warm", lambda: self.agent.last.get("err", {}).get("message") == "it is warm")
        ill.said = ""
        await self.until("silent", lambda: self.agent.last["err"]["message"] == "health does not come back")
        back.set()
        await self.until("cold", lambda: self.agent.last["err"]["message"] == "it is cold")


class Beginnings(LifeCase):
    async def test_the_end_before_the_bus(self):
        self.life = Life(Fan(), Options("nats://127.0.0.1:1", HOST, NAME), LOG)
        work = asyncio.ensure_future(self.life.run())
        await asyncio.sleep(0)
        self.life.drain()
        await asyncio.wait_for(work, PATIENCE)

    async def test_no_bus_in_time(self):
        life = Life(Fan(), Options("nats://127.0.0.1:1", HOST, NAME, wait=0.05), LOG)
        with self.assertRaisesRegex(Disconnected, "no bus at .* within 0.05 s"):
            await asyncio.wait_for(life.run(), PATIENCE)

    async def test_credentials(self):
        for said, want in (("{", "want a JSON object with user and password"), ("[]", "want a JSON object"), (None, "No such file")):
            path = f"{self.dir}/creds"
            if said is not None:
                with open(path, "w") as file:
                    file.write(said)
            else:
                path += "-"
            with self.assertRaisesRegex(pw.ConfigError, want):
                await Life(Fan(), Options(self.bus.url, HOST, NAME, creds=path), LOG).run()


if __name__ == "__main__":
    unittest.main()
