"""Where the bus of a plugin is, and how one gets in."""
from __future__ import annotations

import json
import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from ._errors import ConfigError


@dataclass
class Options:
    """Which plugin a program is run as, and where its bus is."""

    bus: str
    host: str
    plugin: str
    creds: str = ""
    process: str = ""  # what this one of several processes of the plugin is called
    inst: str = ""
    dir: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    wait: float | None = None  # seconds that the first connection may take; None: for ever
    least: float = 1.0
    clients: Any = None  # makes a client instead of ours: f(name, inbox, on_connect) -> client


def read_creds(path: str) -> dict[str, str]:
    """What a file of credentials says, as a client takes it. Raises ConfigError."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            said = json.load(file)
        keys = {"user": "user", "password": "password", "token": "token", "nkey": "nkey_seed", "nkey_seed": "nkey_seed"}
        return {keys[k]: str(v) for k, v in said.items() if k in keys}
    except (OSError, ValueError, AttributeError) as err:
        raise ConfigError([f"credentials {path}: {err}: want a JSON object with user and password"]) from None


def tls_of(o: Options) -> ssl.SSLContext | None:
    """The TLS of an encrypted bus; None where the URL and the environment want none. Raises ConfigError."""
    if not (o.ca or o.cert or o.bus.startswith(("tls://", "wss://"))):
        return None
    try:
        context = ssl.create_default_context(cafile=o.ca or None)
        if o.cert:
            context.load_cert_chain(o.cert, o.key or None)
    except (OSError, ssl.SSLError) as err:
        raise ConfigError([f"TLS of the bus ({', '.join(f for f in (o.ca, o.cert, o.key) if f)}): {err}"]) from None
    return context


def hostname() -> str:
    """The name of this machine without its domain."""
    return socket.gethostname().partition(".")[0] or "localhost"


def state_dir(plugin: str) -> str:
    """Where state is kept when nobody says it."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "pacewire", "plugins", os.path.basename(plugin))
