"""A NATS client on asyncio: it publishes, subscribes, asks, and repairs its connection until it is closed."""
from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import ssl
from typing import Any, Callable, Optional

from ._link import Link, info_of
from ._nkeys import signer
from ._servers import Pool
from ._wire import MAX_BODY, Msg, ProtocolError, format_headers

CONNECT_TIMEOUT = 5.0
_FIRST_PAUSE, _GROWTH, _MOST_PAUSE = 0.5, 1.6, 20.0
_CALM = 10.0  # seconds after which a connection counts as a good one
_MOST_PENDING = 32 << 20  # bytes that wait for a server that does not read
_VIOLATION = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)
_AUTH = re.compile(r"authorization|authentication|account", re.IGNORECASE)
_BAD_SUBJECT = re.compile(r"[\x00-\x20\x7f]|^$")


class Error(Exception):
    """Something about the bus."""


class Disconnected(Error):
    """There is no connection to a server at this moment."""


class NoResponders(Error):
    """Nobody listens on the subject of a request."""


class TooLarge(Error):
    """A message is larger than the server takes."""


class Denied(Error):
    """The server does not let this user in, or not on a subject, which is then named."""

    def __init__(self, text: str, subject: str = "", subscribe: bool = False):
        super().__init__(text)
        self.subject, self.subscribe = subject, subscribe


class Subscription:
    """Tells its callback of each message on a subject, until it is ended."""

    __slots__ = ("subject", "queue", "callback", "ending", "_client", "_sid")

    def __init__(self, client: Client, sid: bytes, subject: str, queue: str, callback: Callable[[Msg], None]):
        self._client, self._sid = client, sid
        self.subject, self.queue, self.callback = subject, queue, callback
        self.ending = False  # the server sends no more

    def end(self) -> None:
        """Asks the server for no more. The callback is told of what is on the way; after a flush there is nothing."""
        if not self.ending:
            self.ending = True
            self._client._unsub(self._sid)

    def unsubscribe(self) -> None:
        """Ends it; the callback is not called any more."""
        self.end()
        self._client._forget(self._sid)


class Client:
    """A connection to the first server of a list of URLs, separated by commas, that takes it.

    All of it belongs to one event loop. Callbacks are plain functions: on_connect() after each connect, on_disconnect(error) after
    a loss, on_error(error) for what no call can tell, such as a subject that is not permitted. Passwords are attributes: what they
    are at the time of a connect is sent.
    """

    def __init__(
        self, url: str, *, user: str = "", password: str = "", token: str = "", nkey_seed: str = "", jwt: str = "",
        tls: Optional[ssl.SSLContext] = None, name: str = "", inbox: str = "_INBOX",
        on_connect: Optional[Callable[[], None]] = None, on_disconnect: Optional[Callable[[Exception], None]] = None,
        on_error: Optional[Callable[[Exception], None]] = None, ping_interval: float = 10.0,
    ):
        self._pool = Pool(url)
        self.user, self.password, self.token, self.jwt = user, password, token, jwt
        self._tls, self._name, self._prefix = tls, name, inbox
        self._on_connect, self._on_disconnect, self._on_error = on_connect, on_disconnect, on_error
        self._ping_interval = ping_interval
        self._nkey: Optional[tuple[str, Callable[[bytes], str]]] = None
        if nkey_seed:
            try:
                self._nkey = signer(nkey_seed)
            except (RuntimeError, ValueError) as err:
                raise Error(str(err)) from err
        self.info: dict[str, Any] = {}
        self.max_payload = 1 << 20
        self.bytes_out = 0
        self.last_error: Optional[Exception] = None
        self._link: Optional[Link] = None
        self._task: Optional[asyncio.Task[None]] = None
        self._first: Optional[asyncio.Future[None]] = None
        self._limited = False  # the first connection may not take for ever
        self._refusals = 0
        self._closed = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._subs: dict[bytes, Subscription] = {}
        self._sid = 0
        self._names: dict[str, bytes] = {}  # subjects that are fit to be sent
        self._mux = ""  # where answers come
        self._asked: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._number = 0
        self._watchers: list[Any] = []
        self._ping: Optional[asyncio.TimerHandle] = None

    # Connecting.

    @property
    def connected(self) -> bool:
        """Whether a server is connected at this moment."""
        return self._link is not None

    async def connect(self, wait: Optional[float] = None) -> None:
        """Connects and returns when that is done; from then on the connection repairs itself.

        Without wait it tries for ever. With it, Disconnected says why there was no server so long, and Denied that the server refuses
        this user.
        """
        if self._closed:
            raise Disconnected("the connection is closed")
        loop = asyncio.get_running_loop()
        if self._task is None:
            self._limited = wait is not None
            self._first = loop.create_future()
            self._task = loop.create_task(self._run())
        assert self._first is not None
        try:
            await asyncio.wait({self._first}, timeout=wait)
            if not self._first.done():
                raise Disconnected(f"no bus at {self._pool} within {wait:g} s: {self.last_error or 'no answer'}") from self.last_error
            self._first.result()
        except BaseException:
            await self.close()
            raise

    async def _run(self) -> None:
        attempt, loop = 0, asyncio.get_running_loop()
        while not self._closed:  # wait_for may swallow the cancellation by close
            for server in self._pool.turn():
                try:
                    link = await asyncio.wait_for(self._open(server), 2 * CONNECT_TIMEOUT)
                except Exception as err:  # whatever it is, the next server or the next time may do
                    if self._closed:
                        return
                    self._refused(err, str(server))
                    continue
                if self._closed:
                    await link.close()
                    return
                begun = loop.time()
                self._pool.failed(server)  # the next one goes first when this one is lost
                self._up(link)
                await asyncio.wait({link.lost})
                self._down(link.error)
                if loop.time() - begun > _CALM:
                    attempt = 0
                break
            await asyncio.sleep(random.uniform(0, min(_FIRST_PAUSE * _GROWTH ** min(attempt, 20), _MOST_PAUSE)))
            attempt += 1

    async def _open(self, server: Any) -> Link:
        """Makes a connection that is let in."""
        link = Link(self._on_msg, self._on_line, server.tls or self._tls is not None)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: link, server.host, server.port)
            info = await asyncio.wait_for(link.info, CONNECT_TIMEOUT)
            self._learn(info)
            if link.wants_tls:
                await self._encrypt(link, server)
            link.write(self._hello(server, info))
            await asyncio.wait_for(link.ping(), CONNECT_TIMEOUT)
        except BaseException as err:
            link.drop(err if isinstance(err, Exception) else None)
            if isinstance(err, Exception) and link.error is not None:
                raise link.error from err
            raise
        return link

    async def _encrypt(self, link: Link, server: Any) -> None:
        if not (link.info.result().get("tls_required") or link.info.result().get("tls_available")):
            raise Error("the server does not speak TLS")
        context = self._tls or ssl.create_default_context()
        await link.encrypt(context, self._pool.name_of(server))

    def _hello(self, server: Any, info: dict[str, Any]) -> bytes:
        hello: dict[str, Any] = {
            "verbose": False, "pedantic": False, "lang": "python-pacewire", "version": "1", "protocol": 1,
            "headers": True, "no_responders": True, "echo": True, "name": self._name,
        }
        user, password = self.user or server.user, self.password or server.password
        known = {"user": user, "pass": password, "auth_token": self.token or server.token, "jwt": self.jwt}
        hello.update({key: value for key, value in known.items() if value})
        nonce = info.get("nonce")
        if self._nkey is not None and isinstance(nonce, str):
            public, sign = self._nkey
            hello["sig"] = sign(nonce.encode())
            if not self.jwt:
                hello["nkey"] = public
        return b"CONNECT " + json.dumps(hello).encode() + b"\r\n"

    def _learn(self, info: dict[str, Any]) -> None:
        self.info = info
        most = info.get("max_payload")
        if isinstance(most, int) and most > 0:
            self.max_payload = min(most, MAX_BODY)
        self._pool.learn(info.get("connect_urls"))

    def _refused(self, err: BaseException, server: str) -> None:
        text = str(err) or ("no answer" if isinstance(err, asyncio.TimeoutError) else type(err).__name__)
        self.last_error = Denied(f"{server}: {text}") if isinstance(err, Denied) else Disconnected(f"{server}: {text}")
        self._refusals += isinstance(err, Denied)
        self._tell(self.last_error)
        if self._limited and self._refusals > 1 and self._first is not None and not self._first.done():
            self._first.set_exception(self.last_error)

    def _up(self, link: Link) -> None:
        self._refusals, self.last_error = 0, None
        for sid, sub in self._subs.items():
            if not sub.ending:
                link.write(_subscribe_line(sid, sub))
        self._link = link
        self._schedule_ping()
        for watcher in list(self._watchers):
            watcher.up()
        if self._on_connect is not None:
            self._call(self._on_connect)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _down(self, err: Optional[Exception]) -> None:
        """Nothing that was not sent is sent later: who wants that does it himself."""
        self._link = None
        self._out.clear()
        self._out_bytes = 0
        if self._ping is not None:
            self._ping.cancel()
        self.last_error = err if isinstance(err, Error) else Disconnected(f"connection lost: {err}" if err else "connection lost")
        for _, future in self._asked.values():
            if not future.done():
                future.set_exception(Disconnected("the connection was lost before the answer came"))
        for watcher in list(self._watchers):
            watcher.down()
        if self._on_disconnect is not None:
            self._call(self._on_disconnect, self.last_error)

    def _schedule_ping(self) -> None:
        self._ping = asyncio.get_running_loop().call_later(self._ping_interval, self._on_ping_time)

    def _on_ping_time(self) -> None:
        link = self._link
        if link is None:
            return
        if link.unanswered >= 2:
            link.drop(Disconnected("the server says nothing any more"), stale=True)
            return
        link.unanswered += 1
        self._send()
        link.write(b"PING\r\n")
        link.pongs.append(None)
        self._schedule_ping()

    async def close(self) -> None:
        """Ends the connection; what is published already still leaves, if the server takes it soon."""
        if self._closed:
            return
        self._send()
        link, task, self._closed = self._link, self._task, True
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if link is not None:
            self._down(Disconnected("the connection is closed"))
            await link.close()
        self._subs.clear()
        for watcher in list(self._watchers):
            watcher.closed()
        if self._first is not None and not self._first.done():
            self._first.set_exception(Disconnected("the connection is closed"))
        if self._first is not None and not self._first.cancelled():
            self._first.exception()  # nobody may wait for it any more

    # Sending.

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Optional[dict[str, str]] = None) -> None:
        """Sends a message. While there is no connection that raises Disconnected at once: nothing is sent late."""
        link = self._link
        if link is None:
            raise Disconnected("there is no connection to the bus")
        name = self._names.get(subject) or self._name_of(subject)
        if reply:
            name += b" " + (self._names.get(reply) or self._name_of(reply))
        size = len(data)
        if headers:
            block = format_headers(headers)
            size += len(block)
            head = b"HPUB %b %d %d\r\n%b" % (name, len(block), size, block)
        else:
            head = b"PUB %b %d\r\n" % (name, size)
        if size > self.max_payload:
            raise TooLarge(f"{size} bytes on {subject}, the server takes {self.max_payload}")
        if link.paused and link.waiting() > _MOST_PENDING:
            raise Error("the server does not read, too much waits for it")
        out = self._out
        if not out:
            asyncio.get_running_loop().call_soon(self._send)
        out.append(head)
        out.append(bytes(data))
        out.append(b"\r\n")
        self._out_bytes += size + len(head)
        self.bytes_out += size
        if self._out_bytes > 1 << 16:
            self._send()

    def _send(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._out_bytes = 0
            if self._link is not None:
                self._link.write(data)

    def _name_of(self, subject: str) -> bytes:
        if _BAD_SUBJECT.search(subject):
            raise ValueError(f"subject {subject!r}: want text without blanks and control characters")
        if len(self._names) >= 4096:
            self._names.clear()
        name = self._names[subject] = subject.encode()
        return name

    async def ready(self) -> None:
        """Waits while more than the socket takes waits to be sent; returns at once while there is no connection."""
        self._send()
        while self._link is not None and self._link.paused:
            await self._link.resumed()

    async def flush(self, timeout: float = 10.0) -> None:
        """Waits until the server has had all that was published. Raises Disconnected or asyncio.TimeoutError."""
        if self._link is None:
            raise Disconnected("there is no connection to the bus")
        self._send()
        try:
            await asyncio.wait_for(self._link.ping(), timeout)
        except (Error, asyncio.TimeoutError):
            raise
        except Exception as err:
            raise Disconnected(f"the connection was lost: {err}") from err

    async def request(self, subject: str, data: bytes, *, headers: Optional[dict[str, str]] = None, timeout: float = 5.0) -> Msg:
        """Asks, and returns the first answer. Raises NoResponders, Denied, Disconnected or asyncio.TimeoutError."""
        if not self._mux:
            self._mux = self.new_inbox() + "."
            self.subscribe(self._mux + "*", self._on_answer)
        self._number += 1
        number = str(self._number)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._asked[number] = (subject, future)
        try:
            self.publish(subject, data, reply=self._mux + number, headers=headers)
            msg = await asyncio.wait_for(future, timeout)
        finally:
            del self._asked[number]
        if msg.status == "503" and not msg.data:
            raise NoResponders(f"nobody answers on {subject}")
        return msg

    def _on_answer(self, msg: Msg) -> None:
        _, future = self._asked.get(msg.subject[len(self._mux):], ("", None))
        if future is not None and not future.done():
            future.set_result(msg)

    def new_inbox(self) -> str:
        """A subject that nobody else knows."""
        return f"{self._prefix}.{secrets.token_hex(12)}"

    # Receiving.

    def subscribe(self, subject: str, callback: Callable[[Msg], None], *, queue: str = "") -> Subscription:
        """Has callback, a plain function, told of each message on subject; also after a reconnect. It needs no connection."""
        self._name_of(subject)
        if queue:
            self._name_of(queue)
        self._sid += 1
        sid = b"%d" % self._sid
        sub = self._subs[sid] = Subscription(self, sid, subject, queue, callback)
        if self._link is not None:
            self._send()
            self._link.write(_subscribe_line(sid, sub))
        return sub

    def _unsub(self, sid: bytes) -> None:
        if sid in self._subs and self._link is not None:
            self._send()
            self._link.write(b"UNSUB " + sid + b"\r\n")

    def _forget(self, sid: bytes) -> None:
        self._subs.pop(sid, None)

    def _on_msg(self, sid: bytes, msg: Msg) -> None:
        sub = self._subs.get(sid)
        if sub is not None:
            self._call(sub.callback, msg)

    def _on_line(self, link: Link, verb: str, rest: str) -> None:
        """Acts on what is no message, no ping and no pong."""
        if verb == "INFO":
            self._learn(info_of(rest))
            if self.info.get("ldm") and len(self._pool) > 1:
                link.drop(Disconnected("the server is about to stop"))
        elif verb == "-ERR":
            self._on_err(link, rest.strip("' "))
        elif verb != "+OK":
            raise ProtocolError(f"unknown operation {verb[:20]!r}")

    def _on_err(self, link: Link, text: str) -> None:
        violation = _VIOLATION.search(text)
        if violation is None:  # the server hangs up
            link.error = Denied(text) if _AUTH.search(text) else Disconnected(f"the server says: {text}")
            link.drop(link.error)
            return
        err = Denied(text, violation[2], violation[1].lower() == "subscription")
        deaf = err.subscribe and err.subject == self._mux + "*"
        for subject, future in self._asked.values():
            if (deaf or not err.subscribe and subject == err.subject) and not future.done():
                future.set_exception(err)
        for watcher in list(self._watchers):
            watcher.denied(err)
        self._tell(err)

    def watch(self, watcher: Any) -> None:
        """Has watcher told of the connection: up(), down(), closed(), and denied(error) of subjects that are not permitted."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Any) -> None:
        """Ends watch."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def _tell(self, err: Exception) -> None:
        if self._on_error is not None:
            self._call(self._on_error, err)

    def _call(self, f: Callable[..., None], *args: Any) -> None:
        """Calls what somebody else has written: its error is not one of the connection."""
        try:
            f(*args)
        except Exception as err:
            asyncio.get_running_loop().call_exception_handler({"message": f"callback {f!r} raised", "exception": err})


def _subscribe_line(sid: bytes, sub: Subscription) -> bytes:
    queue = " " + sub.queue if sub.queue else ""
    return f"SUB {sub.subject}{queue} ".encode() + sid + b"\r\n"
