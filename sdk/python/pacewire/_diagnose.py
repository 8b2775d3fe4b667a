"""Tells what a plugin is, tries it, and says how to go on: what one sees who runs it with no arguments and no bus."""
from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import textwrap
import time
from typing import Any

from . import __version__
from ._batch import Batch, Point
from ._catalog import API, catalog, described, manifest
from ._config import ConfigMap
from ._crew import Crew
from ._errors import text_of
from ._kinds import Plugin, overridden
from ._main import settings
from ._once import Solo, line

SAMPLE_TIME, SAMPLE_LINES, COLUMNS = 3.0, 8, 80

MADE_POINTS = b"""cpu,cpu=cpu0 usage=12.5
cpu,cpu=cpu1 usage=93.5
disk,device=sda1,mount=/ free=52613349376i,used_percent=41.2
net,interface=eth0 bytes_recv=104857600i,up=true
"""
"""What a processor is tried with."""


async def diagnose(plugin: Plugin, o: argparse.Namespace, log: logging.Logger) -> tuple[int, int]:
    """Prints the report. The exit status is 1 when the sample failed; second, how many calls are left behind."""
    config = settings(plugin, o.config)
    crew = Crew()
    try:
        items, trouble = await catalog(plugin, crew, config), ""
        about = manifest(plugin, items)
    except Exception as err:
        items, trouble = [], "the catalog cannot be told: " + text_of(err, 500)
        about = manifest(plugin, [])
    finally:
        crew.close()
    sample = await _dry(plugin, config, o, log) if plugin.kind == "publisher" else await _try(plugin, config, o, log)
    error = trouble or sample["error"]
    report = {
        "plugin": plugin.program, "version": plugin.version, "kind": shape(plugin), "summary": about.get("summary", ""),
        "runtime": {"python": platform.python_version(), "library": __version__, "os": about["os"], "arch": about["arch"],
                    "cpus": os.cpu_count(), "api": API, "host": o.host, "pid": os.getpid()},
        "settings": about["schema"]["properties"], "required": about["schema"].get("required", []), "emits": described(items),
        "sample": {**sample, "error": error}, "ok": not error}
    if o.json:
        report["sample"].pop("lines", None)
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _Page().write(plugin, report, o.config)
    return (1 if error else 0), sample.get("running", 0)


def shape(plugin: Plugin) -> str:
    """What kind of plugin this is, for people."""
    return "collector of facts" if plugin.facts else "stream collector" if plugin.stream_only else plugin.kind


async def _try(plugin: Plugin, config: ConfigMap, o: argparse.Namespace, log: logging.Logger) -> dict[str, Any]:
    """Runs the plugin once and returns what came of it."""
    points: list[Point] = []
    facts: list[dict[str, Any]] = []

    def take(batch: Batch) -> None:
        points.extend(batch.points())

    solo = Solo(plugin, config, log, o.host, o.name, take, facts.append)
    given = MADE_POINTS.splitlines(keepends=True) if plugin.kind == "processor" else []
    begun = time.monotonic()
    await solo.run(given, limit=SAMPLE_TIME if plugin.stream_only else None)
    out: dict[str, Any] = {"error": solo.outcome(), "running": solo.running, "took_ms": _ms_since(begun)}
    stats = solo.count.stats()
    if "call_max_us" in stats:
        out["call_ms"] = round(stats["call_max_us"] / 1000, 2)
    if facts:
        out["facts"] = facts[0]
    else:
        out["points"] = [json.loads(line(p)) for p in points]
        out["lines"] = [short(p) for p in points]
    return out


async def _dry(plugin: Plugin, config: ConfigMap, o: argparse.Namespace, log: logging.Logger) -> dict[str, Any]:
    """Makes a publisher ready and ends it: nothing is published."""
    solo = Solo(plugin, config, log, o.host, o.name, lambda batch: None, lambda facts: None)
    begun = time.monotonic()
    await solo.ready(o.dir)
    return {"error": solo.outcome(), "running": solo.running, "took_ms": _ms_since(begun)}


def _ms_since(begun: float) -> float:
    return round(1000 * (time.monotonic() - begun), 2)


def short(p: Point) -> str:
    """A point for people."""
    tags = "".join(f",{k}={v}" for k, v in sorted(p.tags.items()) if k != "host")
    return p.series + tags + " " + ",".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in p.fields.items())


class _Page:
    """Text for people, at most 80 columns wide where it can be."""

    def line(self, text: str = "") -> None:
        print(text)

    def text(self, indent: str, words: str) -> None:
        for part in textwrap.wrap(words, COLUMNS - len(indent)):
            self.line(indent + part)

    def write(self, plugin: Plugin, report: dict[str, Any], config: str) -> None:
        """Writes a report."""
        run, sample = report["runtime"], report["sample"]
        kind = report["kind"]
        self.line(f"{report['plugin']} {report['version']}, a {kind}")
        self.text("", report["summary"])
        self.line("\nruntime")
        self.line(f"  Python {run['python']} {run['os']}/{run['arch']}, {run['cpus']} CPUs, pacewire {run['library']}, "
                  f"plugin API {run['api']}")
        self.line(f"  host {run['host']}, process {run['pid']}")
        self.line("\nsettings")
        self.settings(report["settings"], report["required"])
        self.line("\nemits")
        self.catalog(kind, report["emits"])
        self.line("\nsample: " + _SAMPLE.get(kind, _SAMPLE["collector"]))
        self.sample(kind, sample)
        self.line("\ntimings")
        one = f", one call {sample['call_ms']} ms" if "call_ms" in sample else ""
        self.line(f"  start, work and end took {sample['took_ms']} ms{one}")
        self.go_on(plugin, config)

    def settings(self, properties: dict[str, Any], required: list[str]) -> None:
        """The policy table."""
        for key, s in properties.items():
            words = [f"{key:<16} {s['type']:<8}"]
            words += ["required"] if key in required else []
            words += [json.dumps(s["default"], ensure_ascii=False)] if "default" in s else []
            words += ["secret"] if s.get("writeOnly") else []
            words += [f"{low} {s[name]}" for name, low in (("minimum", "at least"), ("maximum", "at most")) if name in s]
            words += ["of " + json.dumps(s["enum"])[1:-1]] if "enum" in s else []
            self.line("  " + " ".join(words).rstrip())
            self.text("      ", s.get("description", ""))
        if not properties:
            self.line("  none")

    def catalog(self, kind: str, series: list[dict[str, Any]]) -> None:
        """What it emits."""
        for s in series:
            self.line("  " + s["series"])
            self.text("      ", s.get("help", ""))
            for name in ("tags", "fields"):
                pairs = [f"{k} ({v})" if v else k for k, v in sorted(s.get(name, {}).items())]
                self.text("      ", f"{name}: {', '.join(pairs)}" if pairs else "")
        if not series:
            self.line("  " + _EMITS.get(kind, "nothing that is listed: write update_catalog"))

    def sample(self, kind: str, sample: dict[str, Any]) -> None:
        """What came of one try."""
        lines = sample.get("lines", [])
        if "facts" in sample:
            lines = [f"{k}: {json.dumps(v, ensure_ascii=False, default=str)}" for k, v in sorted(sample["facts"].items())]
        for text in lines[:SAMPLE_LINES]:
            self.line("  " + (text if len(text) < COLUMNS - 2 else text[:COLUMNS - 5] + "..."))
        if len(lines) > SAMPLE_LINES:
            self.line(f"  ... and {len(lines) - SAMPLE_LINES} more")
        if sample["error"]:
            self.text("  ", "failed: " + sample["error"])
        elif not lines:
            self.line("  made ready and ended" if kind == "publisher" else "  nothing")

    def go_on(self, plugin: Plugin, config: str) -> None:
        """What a person may do next."""
        python = "python3" if sys.prefix == sys.base_prefix else sys.executable  # of a virtual environment
        file = sys.argv[0] or "plugin.py"
        command = f"{python} {file}"
        section = {"collector": "collect", "processor": "process", "publisher": "publish"}[plugin.kind]
        feed = "" if plugin.kind == "collector" else "echo 'cpu usage=93.5' | "
        self.line("\nnext")
        self.line(f"  {feed}{command} --once")
        self.line(f"  pacewire conform -- {command}")
        self.line(f"  {command} --help\n\n  or in a config:\n")
        self.line(f"    {section}:\n      {plugin.program}:\n        run: {python} {os.path.abspath(file)}")
        if plugin.every:
            self.line(f"        every: {plugin.every}")
        if plugin.kind != "collector":
            of_events = overridden(plugin, "publish_events")
            self.line(f"        on: [{', '.join(plugin.on or ['down'])}]" if of_events else "        from: all")
        values = config.strip() or json.dumps(plugin.get_config_policy().defaults(), ensure_ascii=False)
        if values != "{}" and len(values) <= 60:
            self.line(f"        config: {values}")


_EMITS = {"processor": "what it is given", "publisher": "nothing, it carries points out",
          "collector of facts": "facts, which the agent keeps"}
_SAMPLE = {"collector": "one collection", "stream collector": f"what came in {SAMPLE_TIME:g} s",
           "collector of facts": "one collection of facts", "processor": "what it makes of four made points", "publisher": "made ready with these settings, nothing was published"}
