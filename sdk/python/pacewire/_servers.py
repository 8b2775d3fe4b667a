"""Which servers there are, and which to try next."""
from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from typing import Any, Iterator
from urllib.parse import unquote, urlsplit

_MOST_LEARNT = 32
_PORT = 4222


@dataclass(frozen=True)
class Server:
    """One address of a bus, and who we are there if the URL says so."""

    host: str
    port: int
    tls: bool = False
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __str__(self) -> str:  # for messages: without what is secret
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def parse_url(text: str) -> Server:
    """The server of a URL; without a scheme nats:// is meant. Raises ValueError."""
    text = text.strip()
    url = urlsplit(text if "://" in text else "nats://" + text)
    shown = f"URL of the bus {url.scheme}://{url.netloc.rpartition('@')[2]}"
    if url.scheme not in ("nats", "tls"):
        raise ValueError(f"{shown}: want nats:// or tls://")
    try:
        port = url.port or _PORT
    except ValueError:
        raise ValueError(f"{shown}: the port is no number below 65536") from None
    if not url.hostname:
        raise ValueError(f"{shown}: no host")
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if user and url.password is None:
        return Server(url.hostname, port, url.scheme == "tls", token=user)
    return Server(url.hostname, port, url.scheme == "tls", user, password)


class Pool:
    """The servers of a list of URLs, and those that they know of."""

    def __init__(self, urls: str):
        self._given = [parse_url(url) for url in urls.split(",") if url.strip()]
        if not self._given:
            raise ValueError("URL of the bus: empty")
        self._servers = list(self._given)
        random.shuffle(self._servers)  # not all clients on the first one

    def __len__(self) -> int:
        return len(self._servers)

    def __str__(self) -> str:
        return ",".join(map(str, self._given))

    def turn(self) -> Iterator[Server]:
        """Each server once."""
        return iter(list(self._servers))

    def failed(self, server: Server) -> None:
        """Puts a server behind the others."""
        self._servers.remove(server)
        self._servers.append(server)

    def name_of(self, server: Server) -> str:
        """The name that its certificate must have. Servers tell of each other by address."""
        if server in self._given or not _is_address(server.host):
            return server.host
        return next((s.host for s in self._given if not _is_address(s.host)), server.host)

    def learn(self, urls: Any) -> None:
        """Takes the servers in that another one tells of; who we are there is what we are here."""
        if not isinstance(urls, list):
            return
        known = {(s.host, s.port) for s in self._servers}
        first = self._given[0]
        for url in urls[:_MOST_LEARNT]:
            if len(self._servers) >= len(self._given) + _MOST_LEARNT or not isinstance(url, str):
                return
            try:
                told = parse_url(url)
            except ValueError:
                continue
            if (told.host, told.port) not in known:
                known.add((told.host, told.port))
                self._servers.append(Server(told.host, told.port, first.tls, first.user, first.password, first.token))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
