"""A real bus for a test: `pacewire bus` in a process of its own."""
from __future__ import annotations

import asyncio
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from typing import Any, Awaitable, Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
BINARY = pathlib.Path(os.environ.get("PACEWIRE_BINARY") or HERE.parents[2] / "bin" / "pacewire")
PATIENCE = 60.0  # seconds; a machine may be ten times slower than an idle one


class Bus:
    """A bus below a folder of its own. stop, or kill, and start it again as often as you like: port and store stay."""

    def __init__(self, *flags: str):
        if not BINARY.exists():
            raise RuntimeError(f"no program {BINARY}: build it with `go build -o bin/pacewire ./cmd/pacewire`, or name it in PACEWIRE_BINARY")
        self.dir = tempfile.mkdtemp(prefix="pacewire-test-")
        self._flags, self._listen = flags, "127.0.0.1:0"
        self.users: dict[str, str] = {}
        self.start()

    def start(self) -> None:
        command = [str(BINARY), "bus", "--dir", os.path.join(self.dir, "store"), "--listen", self._listen, *self._flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._end()
            raise RuntimeError(f"the bus has not started: {' '.join(command)}")
        said = json.loads(line)
        self.url, self.users = said["url"], said["users"]
        self._listen = self.url.partition("://")[2]

    def stop(self) -> None:
        """Ends it as stdin's end does."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._end()

    def kill(self) -> None:
        """Ends it as a power cut of the process would."""
        self.process.kill()
        self._end()

    def _end(self) -> None:
        try:
            self.process.wait(PATIENCE)
        finally:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()

    def close(self) -> None:
        if self.process.returncode is None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class BusCase(unittest.IsolatedAsyncioTestCase):
    """A test with a bus. It fails when a task, or an error nobody saw, is left."""

    flags: tuple[str, ...] = ()

    async def asyncSetUp(self) -> None:
        self.strays: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.strays.append(str(context)))
        asyncio.get_running_loop().slow_callback_duration = 10
        self.addAsyncCleanup(self._nothing_left)  # the first one is done last
        self.bus = Bus(*self.flags)
        self.addCleanup(self.bus.close)

    async def _nothing_left(self) -> None:
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        self.assertEqual([], [str(task) for task in left], "tasks are left")
        self.assertEqual([], self.strays, "errors that nobody saw")

    async def client(self, **options: Any) -> Any:
        """A client that is connected, and closed with the test."""
        from pacewire._nats import Client

        client = Client(options.pop("url", self.bus.url), **options)
        self.addAsyncCleanup(client.close)
        await client.connect(PATIENCE)
        return client

    async def ask(self, client: Any, verb: str, **body: Any) -> dict[str, Any]:
        """A request to the API of streams."""
        msg = await client.request("$JS.API." + verb, json.dumps(body).encode() if body else b"", timeout=PATIENCE)
        said: dict[str, Any] = json.loads(msg.data)
        if "error" in said:
            raise AssertionError(f"{verb}: {said['error']}")
        return said

    async def consumer(self, client: Any, durable: str, ack_wait: float = 5.0, **more: Any) -> None:
        """Makes a durable pull consumer of all batches."""
        config = {"durable_name": durable, "ack_policy": "explicit", "ack_wait": round(ack_wait * 1e9), "deliver_policy": "all",
                  "max_ack_pending": 256, "filter_subject": "pw.metrics.>", **more}
        await self.ask(client, f"CONSUMER.DURABLE.CREATE.METRICS.{durable}", stream_name="METRICS", config=config)

    async def stored(self, client: Any, stream: str = "METRICS") -> int:
        """How many messages a stream has."""
        return int((await self.ask(client, "STREAM.INFO." + stream))["state"]["messages"])

    async def until(self, what: str, ok: Callable[[], Any]) -> Any:
        """Waits for a condition, which may be a coroutine function, and returns what it says."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            said = ok()
            if isinstance(said, Awaitable):
                said = await said
            if said:
                return said
            if asyncio.get_running_loop().time() > end:
                self.fail(f"{what}: not within {PATIENCE:g} s")
            await asyncio.sleep(0.02)
