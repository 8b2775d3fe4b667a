"""The command line of a plugin."""
from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import os
import signal
import stat
import sys
import threading
import time
import traceback
from typing import Any, Sequence

from . import __version__
from ._config import ConfigMap, seconds
from ._errors import ConfigError, Refused, text_of
from ._kinds import Plugin
from ._log import new_log

DONE, FAILED, USAGE, NO_BUS, TRY_AGAIN, CONFIG = 0, 1, 64, 69, 75, 78
_HELP = """Without flags and without a bus it reports what it is and tries itself. An agent starts it with PACEWIRE_BUS and
the like in its environment. Signals INT and TERM drain it, a second one ends it at once.

Exit status: 0 done, 1 failed, 64 usage, 69 no bus, 75 --wait ran out, 78 wrong settings or refused by the agent."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message}: see --help", file=sys.stderr)
        raise SystemExit(USAGE)


def main(plugin: Plugin, args: Sequence[str] | None = None) -> int:
    """Does what args (those of the process, unless they are given) ask of a plugin, and returns the exit status."""
    try:
        o = _parser(plugin).parse_args(args)
    except SystemExit as end:
        return int(end.code or 0)
    gc.set_threshold(20_000, 20, 20)  # points come and go by thousands, and are part of no cycle
    code, left = FAILED, 0
    try:
        code, left = _do(plugin, o)
    except ConfigError as err:
        code = _say(plugin, CONFIG, f"settings: {err}")
    except Refused as err:
        code = _say(plugin, CONFIG, f"refused by the agent: {err}")
    except _Usage as err:
        code = _say(plugin, USAGE, f"{err}: see --help")
    except _NoBus as err:
        code = _say(plugin, err.code, f"no bus: {err}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        code = DONE
    except BrokenPipeError:
        _leave_stdout()
    except Exception:
        traceback.print_exc()  # here, since a call that does not come back would hold up the end
    if left or not _threads_end():
        _leave(code)  # a call that does not come back would hold up the end
    return code


def _threads_end() -> bool:
    """Whether the threads end that the interpreter would wait for."""
    end = time.monotonic() + 1.0
    while any(t.is_alive() and not t.daemon and t is not threading.main_thread() for t in threading.enumerate()):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _leave_stdout() -> None:
    """Has what is still written to a broken pipe go nowhere: else the interpreter complains at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


class _Usage(Exception):
    pass


class _NoBus(Exception):
    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


def _say(plugin: Plugin, code: int, text: str) -> int:
    print(f"{plugin.program}: {text}", file=sys.stderr)
    return code


def _parser(plugin: Plugin) -> argparse.ArgumentParser:
    from ._catalog import summary_of

    env = os.environ
    p = _Parser(prog=os.path.basename(sys.argv[0]) or plugin.program, description=plugin.summary or summary_of(plugin),
                epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    p.add_argument("--once", action="store_true", help="work once between the standard streams, without a bus")
    p.add_argument("--config", metavar="JSON", default="", help="settings for --once and for diagnostics, an object")
    p.add_argument("--describe", action="store_true", help="print the manifest as JSON: kind, settings, catalog")
    p.add_argument("--json", action="store_true", help="diagnostics as JSON")
    p.add_argument("--bus", metavar="URL", default=env.get("PACEWIRE_BUS", ""), help="serve on the bus at this address")
    p.add_argument("--creds", metavar="FILE", default=env.get("PACEWIRE_CREDS", ""), help="credentials for the bus")
    p.add_argument("--host", default=env.get("PACEWIRE_HOST", ""), help="the host that points are about")
    p.add_argument("--name", default=env.get("PACEWIRE_PLUGIN", "") or plugin.program, help="the plugin's name in the config")
    p.add_argument("--dir", default=env.get("PACEWIRE_DIR", ""), help="folder to keep state in")
    p.add_argument("--wait", metavar="TIME", type=_duration,
                   help="how long to wait for the bus; without it for ever, 0s: not at all")
    p.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: info")
    p.add_argument("-v", "--verbose", action="store_true", help="the same as --log-level debug")
    p.add_argument("--version", action="version", version=f"{plugin.program} {plugin.version} (pacewire {__version__})")
    return p


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from None


def _do(plugin: Plugin, o: argparse.Namespace) -> tuple[int, int]:
    """Returns the exit status, and how many calls are left behind."""
    from ._options import hostname

    o.host = o.host or hostname()
    log = new_log("debug" if o.verbose else o.log_level, o.host, os.environ.get("PACEWIRE_PROCESS") or o.name)
    if o.describe and o.once:
        raise _Usage("--describe and --once: give one of them")
    if o.describe:
        return asyncio.run(_describe(plugin))
    if o.once:
        return asyncio.run(_alone(plugin, o, log))
    if o.bus:
        if o.config:
            raise _Usage("--config is for --once: on a bus the agent gives the settings")
        return asyncio.run(_serve(plugin, o, log))
    if o.creds or o.wait is not None:
        raise _Usage("--creds and --wait want a --bus")
    from ._diagnose import diagnose

    return asyncio.run(diagnose(plugin, o, log))


def settings(plugin: Plugin, text: str) -> ConfigMap:
    """The config that --config says."""
    try:
        given = json.loads(text) if text.strip() else {}
    except ValueError as err:
        raise ConfigError([f"--config {text!r} is no JSON: {err}"]) from None
    return plugin.get_config_policy().read(given)


async def _describe(plugin: Plugin) -> tuple[int, int]:
    from ._catalog import catalog, manifest
    from ._crew import Crew
    from ._life import defaults_of

    crew = Crew()
    try:
        items = await catalog(plugin, crew, defaults_of(plugin.get_config_policy()))
        print(json.dumps(manifest(plugin, items), indent=2))
    except Exception as err:
        return _say(plugin, FAILED, f"the catalog cannot be told: {text_of(err, 500)}"), crew.running
    finally:
        crew.close()
    return DONE, 0


async def _alone(plugin: Plugin, o: argparse.Namespace, log: Any) -> tuple[int, int]:
    from ._once import Solo, write_points

    write = write_points(sys.stdout.buffer)

    def take(batch: Any) -> None:
        try:
            write(batch)
        except BrokenPipeError:  # nobody reads any more: the end, as by a signal
            _leave_stdout()
            task.cancel()

    solo = Solo(plugin, settings(plugin, o.config), log, o.host, o.name, take,
                lambda facts: print(json.dumps(facts, sort_keys=True), flush=True))
    task = asyncio.ensure_future(solo.run(iter(sys.stdin.buffer.readline, b""), folder=o.dir))
    _on_signals(task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    wrong = solo.outcome()
    return (_say(plugin, FAILED, wrong) if wrong else DONE), solo.running


def _on_signals(drain: Any) -> None:
    """The first signal drains, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)


async def _serve(plugin: Plugin, o: argparse.Namespace, log: Any) -> tuple[int, int]:
    from ._life import Life
    from ._nats import Error
    from ._options import Options, state_dir

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed is seen at once
    env = os.environ
    wait = o.wait
    options = Options(
        o.bus, o.host, o.name, creds=o.creds, process=env.get("PACEWIRE_PROCESS", ""), inst=env.get("PACEWIRE_INST", ""),
        dir=o.dir or state_dir(o.name), ca=env.get("PACEWIRE_BUS_CA", ""), cert=env.get("PACEWIRE_BUS_CERT", ""),
        key=env.get("PACEWIRE_BUS_KEY", ""), wait=2.0 if wait == 0 else wait)
    life = Life(plugin, options, log)
    _on_signals(life.drain)
    loop = asyncio.get_running_loop()
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, life.survey)
    if env.get("PACEWIRE_PLUGIN") and _is_pipe():
        threading.Thread(target=_until_agent_is_gone, args=(loop, life, log), daemon=True).start()
    try:
        await life.run()
    except (Error, asyncio.TimeoutError, OSError) as err:
        raise _NoBus(text_of(err), NO_BUS if wait == 0 else TRY_AGAIN) from None
    return DONE, life.crew.running


def _is_pipe() -> bool:
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _until_agent_is_gone(loop: asyncio.AbstractEventLoop, life: Any, log: Any) -> None:
    """The agent's end of standard input closes when it is gone, however it went."""
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    if not life.ending.is_set():
        log.warning("agent is gone")
    try:
        loop.call_soon_threadsafe(life.drain)
    except RuntimeError:
        pass  # it has ended already
