"""The connection of another NATS client, that of the package nats-py, with the surface of ours."""
from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, Optional

from ._nats import Disconnected, Error, NoResponders, TooLarge
from ._waits import cancel
from ._wire import Msg

_LOOK = 0.2  # seconds between two looks at the connection: it has one listener, which is its owner's
_FULL = 1024  # messages that wait before ready does


class Adapter:
    """Ours publishes and subscribes at once, theirs by coroutines: these are done in the order of the calls. The connection stays
    its owner's: close ends the subscriptions, nothing else."""

    def __init__(self, client: Any, on_connect: Optional[Callable[[], None]] = None):
        self._theirs, self._on_connect = client, on_connect
        self._todo: asyncio.Queue[Callable[[], Awaitable[Any]]] = asyncio.Queue()
        self._subs: set[_Subscription] = set()
        self._watchers: list[Any] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.info: dict[str, Any] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return bool(self._theirs.is_connected)

    @property
    def max_payload(self) -> int:
        """The most bytes that a message may have."""
        return int(self._theirs.max_payload)

    async def connect(self, wait: Optional[float] = None) -> None:
        """Begins to work on it. Raises Disconnected when its owner has not connected it."""
        if not self.connected:
            raise Disconnected("the client that was handed in is not connected")
        self._tasks = [asyncio.ensure_future(self._do_all()), asyncio.ensure_future(self._look())]
        if self._on_connect is not None:
            self._on_connect()

    async def close(self) -> None:
        """Ends what was begun here."""
        for sub in list(self._subs):
            sub.unsubscribe()
        if self._tasks:
            await self._todo.join()
            await cancel(*self._tasks)
        for watcher in list(self._watchers):
            watcher.closed()

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Optional[dict[str, str]] = None) -> None:
        """Sends a message, or raises Disconnected: nothing is sent late."""
        if not self.connected:
            raise Disconnected("there is no connection to the bus")
        if len(data) > self.max_payload:
            raise TooLarge(f"{len(data)} bytes on {subject}, the server takes {self.max_payload}")

        async def send() -> None:
            if self.connected:  # theirs keeps for later what it cannot send
                await self._theirs.publish(subject, data, reply=reply, headers=headers)

        self._todo.put_nowait(send)

    async def ready(self) -> None:
        """Waits while much waits to be sent."""
        if self._todo.qsize() > _FULL:
            await self._todo.join()

    async def flush(self, timeout: float = 10.0) -> None:
        """Waits until the server has had all that was published."""
        await self._todo.join()
        try:
            await self._theirs.flush(timeout=timeout)
        except asyncio.TimeoutError:
            raise
        except Exception as err:
            raise Disconnected(f"the connection was lost: {err}") from err

    async def request(self, subject: str, data: bytes, *, headers: Optional[dict[str, str]] = None, timeout: float = 5.0) -> Msg:
        """Asks, and returns the first answer."""
        try:
            return _msg(await self._theirs.request(subject, data, timeout=timeout, headers=headers))
        except asyncio.TimeoutError:
            raise
        except Exception as err:
            if type(err).__name__ == "NoRespondersError":
                raise NoResponders(f"nobody answers on {subject}") from None
            raise Error(f"request on {subject}: {err}") from err

    def subscribe(self, subject: str, callback: Callable[[Msg], None], *, queue: str = "") -> _Subscription:
        """Has callback told of each message on subject."""
        sub = _Subscription(self)

        async def take(msg: Any) -> None:
            if sub in self._subs:
                callback(_msg(msg))

        async def begin() -> None:
            sub.theirs = await self._theirs.subscribe(subject, queue=queue, cb=take)

        self._subs.add(sub)
        self._todo.put_nowait(begin)
        return sub

    def unsubscribe(self, sub: _Subscription) -> None:
        """Ends a subscription."""
        async def end() -> None:
            await sub.theirs.unsubscribe()

        if sub in self._subs:
            self._subs.discard(sub)
            self._todo.put_nowait(end)

    def new_inbox(self) -> str:
        """A subject that nobody else knows."""
        return str(self._theirs.new_inbox())

    def watch(self, watcher: Any) -> None:
        """Has watcher told of the connection: up(), down() and closed()."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Any) -> None:
        """Ends watch."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    async def _do_all(self) -> None:
        while True:
            do = await self._todo.get()
            try:
                await do()
            except Exception:
                pass  # not done, as error_cb of its owner tells: what matters is sent again, since nobody answers for it
            finally:
                self._todo.task_done()

    async def _look(self) -> None:
        was = True
        while True:
            await asyncio.sleep(_LOOK)
            now = self.connected
            if now == was:
                continue
            was = now
            for watcher in list(self._watchers):
                (watcher.up if now else watcher.down)()
            if now and self._on_connect is not None:
                self._on_connect()


class _Subscription:
    theirs: Any = None

    def __init__(self, adapter: Adapter):
        self._adapter = adapter

    def unsubscribe(self) -> None:
        """Ends it."""
        self._adapter.unsubscribe(self)


def _msg(theirs: Any) -> Msg:
    """A message of theirs, which has the status among its headers."""
    headers = dict(theirs.headers or {})
    status = headers.pop("Status", "")
    return Msg(theirs.subject, theirs.reply or "", headers or None, theirs.data, status)
