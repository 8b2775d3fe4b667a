"""What a plugin is, as it tells its agent: the manifest."""
from __future__ import annotations

import asyncio
import platform
import sys
from typing import Any

from ._config import ConfigMap
from ._crew import Crew
from ._errors import Late
from ._kinds import Plugin, Series
from ._metric import Metric
from ._waits import either

API = 1
CATALOG_LIMIT = 10.0  # seconds; an agent waits 15 for the first heartbeat


async def catalog(plugin: Plugin, crew: Crew, config: ConfigMap) -> list[Any]:
    """What update_catalog says, as a list. The hello cannot wait for one that does not come back."""
    out: list[Any] = []
    call = asyncio.ensure_future(crew.call(plugin.update_catalog, config, limit=None, each=out.append))
    try:
        await either(call, seconds=CATALOG_LIMIT)
        if not call.done():
            raise Late(f"update_catalog has no answer in {CATALOG_LIMIT:g} s")
        call.result()
    finally:
        call.cancel()
    return out


async def metrics_of(place: Any, config: ConfigMap) -> list[Metric]:
    """The metrics of the catalog, as collect is given them: each with its config."""
    out = []
    for item in await catalog(place.plugin, place.crew, config):
        if isinstance(item, Metric):
            item.config = config
            out.append(item)
    return out


def manifest(plugin: Plugin, items: list[Any]) -> dict[str, Any]:
    """The manifest of a plugin whose catalog has these items."""
    system = {"linux": "linux", "darwin": "darwin", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    out: dict[str, Any] = {
        "kind": plugin.kind, "program": plugin.program, "version": plugin.version, "api": API, "os": system, "live": True,
        "arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine), "schema": plugin.get_config_policy().schema()}
    summary = plugin.summary or summary_of(plugin)
    if summary:
        out["summary"] = summary
    series = described(items)
    if series:
        out["catalog"] = series
    return out


def summary_of(plugin: Plugin) -> str:
    """The first sentence of what an author's class says of itself."""
    doc = type(plugin).__doc__ if not type(plugin).__module__.startswith("pacewire.") else ""
    return " ".join((doc or "").split("\n\n")[0].split())


def described(items: list[Any]) -> list[dict[str, Any]]:
    """The series of a catalog, those of the same name in one entry."""
    out: dict[str, dict[str, Any]] = {}
    for item in items:
        one = _of_metric(item) if isinstance(item, Metric) else item
        if not isinstance(one, Series):
            raise TypeError(f"the catalog has a {type(item).__name__}: want pw.Metric(...) without data, or pw.series(...)")
        entry = out.setdefault(one.series, {"series": one.series})
        if one.help and "help" not in entry:
            entry["help"] = one.help
        for name in ("tags", "fields", "types"):
            if getattr(one, name):
                entry.setdefault(name, {}).update(getattr(one, name))
    return list(out.values())


def _of_metric(metric: Metric) -> Series:
    series, field, _ = metric.namespace.split()
    tags = {e.name: e.description for e in metric.namespace if e.name}
    kinds = {bool: "b", int: "i", str: "s", bytes: "s"}
    types = {field: kinds[type(metric.data)]} if type(metric.data) in kinds else {}
    return Series(series, metric.description, tags, {field: metric.unit}, types)
