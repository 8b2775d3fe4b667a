"""Acks until the stream has confirmed them."""
from __future__ import annotations

import asyncio
from typing import Any

from ._nats import Disconnected, Error
from ._wire import Msg

_WAIT = 2.0
_TRIES = 5  # a stream that has lost the delivery never confirms


class AckLog:
    """A server works on the acks of one connection in order, so one confirmation stands for all before it: at any time one ack asks
    for it, the others travel alone. Where that order does not hold, at a change of leaders, a lost ack means a repeated delivery,
    never a lost one."""

    def __init__(self, client: Any):
        self._client = client
        self._pending: list[tuple[str, bytes]] = []  # oldest first
        self._asked = 0  # how many of them the confirmation under way covers; 0: none is
        self._number = 0
        self._sent = 0.0
        self._tries = 0
        self.unconfirmed = 0  # given up: the messages come again
        self.idle: list[asyncio.Future[None]] = []
        self._inbox = client.new_inbox() + "."
        self._sub = client.subscribe(self._inbox + "*", self._on_confirm)

    def __len__(self) -> int:
        return len(self._pending)

    def send(self, subject: str, body: bytes) -> None:
        """Sends and remembers an ack."""
        self._pending.append((subject, body))
        if not self._asked:
            self._ask()
        else:
            self._publish(subject, body)

    def resend(self) -> None:
        """Sends everything unconfirmed again, as after a reconnect."""
        if self._pending:
            for subject, body in self._pending[:-1]:
                self._publish(subject, body)
            self._ask()

    def keep(self, now: float, heard: float) -> None:
        """Is called now and then: resends what was not confirmed in time. heard is when the stream has last said anything."""
        if not self._pending or not self._client.connected:
            return
        if not self._asked:
            self._ask()
        elif now - self._sent < _WAIT:
            return
        elif self._tries >= _TRIES and heard > self._sent:  # a stream that says nothing at all may only be slow
            self.unconfirmed += self._asked
            self._confirmed()
        else:
            self._tries += 1
            self.resend()

    def _ask(self) -> None:
        subject, body = self._pending[-1]
        self._asked = len(self._pending)
        self._number += 1
        self._sent = asyncio.get_running_loop().time()
        self._publish(subject, body, self._inbox + str(self._number))

    def _publish(self, subject: str, body: bytes, reply: str = "") -> None:
        try:
            self._client.publish(subject, body, reply=reply)
        except Error:
            pass  # resent unless confirmed

    def _on_confirm(self, msg: Msg) -> None:
        # With a status nobody took it: the consumer has no leader at the moment.
        if self._asked and not msg.status and msg.subject == self._inbox + str(self._number):
            self._confirmed()

    def _confirmed(self) -> None:
        del self._pending[:self._asked]
        self._asked = self._tries = 0
        if self._pending:
            if self.idle:
                self._ask()
            return
        for idle in self.idle:
            if not idle.done():
                idle.set_result(None)
        self.idle.clear()

    def reconnected(self) -> None:
        """Sends everything unconfirmed again, by a new connection."""
        self._tries = 0
        self.resend()

    async def flush(self) -> None:
        """Waits until the stream has confirmed all. Raises Disconnected when the client is closed before."""
        if self._pending:
            if not self._asked:
                self._ask()
            idle = asyncio.get_running_loop().create_future()
            self.idle.append(idle)
            await idle

    def close(self) -> None:
        """Ends it; what is unconfirmed may come again."""
        self._sub.unsubscribe()
        for idle in self.idle:
            if not idle.done():
                idle.set_exception(Disconnected("closed before the stream had confirmed all"))
        self.idle.clear()
