"""The settings of a plugin: rules, their JSON Schema, and the check of a config against them."""
from __future__ import annotations

import os
import re
import stat
from typing import Any, Callable, Iterable, Mapping

from ._errors import ConfigError

RESERVED = frozenset(
    "use run from on config every cron schedule timeout tags owner enabled start replicas parallel env "
    "order queue overflow max_rate max_series limits run_as on_agent_exit sha256 attached".split())
"""Names that mean the same for every plugin and stand beside its settings in a config."""

_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")


class Rule:
    """What one setting may be. Use one of the rules below.

    key may be left out in Snap's form of a policy, where it stands beside the rule. A setting with neither a default nor
    ``required`` is None where nobody sets it. enum lists the values it may have.
    """

    type = ""
    python: tuple[type, ...] = ()
    article = "a value"

    def __init__(self, key: str = "", *, default: Any = None, required: bool = False, enum: Iterable[Any] | None = None,
                 description: str = ""):
        self.key, self.default, self.required, self.description = key, default, required, description
        self.enum = None if enum is None else list(enum)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the setting."""
        out: dict[str, Any] = {"type": self.type}
        if self.description:
            out["description"] = self.description
        if self.default is not None:
            out["default"] = self.default
        if self.enum is not None:
            out["enum"] = self.enum
        return out

    def fault(self, value: Any) -> str:
        """What is wrong with a value, and the way out; empty: nothing."""
        if isinstance(value, bool) and bool not in self.python or not isinstance(value, self.python):
            return f"is {_show(value)}: want {self.article}"
        if self.enum is not None and value not in self.enum:
            return f"is {_show(value)}: want one of {', '.join(map(_show, self.enum))}"
        return ""

    def read(self, value: Any) -> Any:
        """The value as the plugin gets it."""
        return value


class _Number(Rule):
    def __init__(self, key: str = "", *, default: Any = None, minimum: float | None = None, maximum: float | None = None,
                 required: bool = False, enum: Iterable[Any] | None = None, description: str = ""):
        super().__init__(key, default=default, required=required, enum=enum, description=description)
        self.minimum, self.maximum = minimum, maximum

    def schema(self) -> dict[str, Any]:
        out = super().schema()
        for name in ("minimum", "maximum"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        return out

    def fault(self, value: Any) -> str:
        fault = super().fault(value)
        if fault:
            return fault
        if self.minimum is not None and value < self.minimum:
            return f"is {value}: want at least {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"is {value}: want at most {self.maximum}"
        return ""


class IntegerRule(_Number):
    """A whole number, between minimum and maximum where these are given."""

    type, python, article = "integer", (int,), "a whole number"

    def fault(self, value: Any) -> str:
        return super().fault(_whole(value))

    def read(self, value: Any) -> int:
        return int(value)


class FloatRule(_Number):
    """A number, between minimum and maximum where these are given."""

    type, python, article = "number", (int, float), "a number"

    def fault(self, value: Any) -> str:
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return f"is {value}: want a finite number"
        return super().fault(value)

    def read(self, value: Any) -> float:
        return float(value)


class BoolRule(Rule):
    """true or false."""

    type, python, article = "boolean", (bool,), "true or false"


class StringRule(Rule):
    """A text, one that pattern is found in where it is given.

    A secret is never shown. It comes with a second setting, ``<key>_file``: a file that the plugin itself reads, so that the
    secret crosses no bus and stands in no config.
    """

    type, python, article = "string", (str,), "a text"

    def __init__(self, key: str = "", *, default: str | None = None, required: bool = False, enum: Iterable[str] | None = None,
                 pattern: str = "", secret: bool = False, description: str = ""):
        if secret and default is not None:
            raise ValueError("a secret has no default: what stands in a program is none")
        super().__init__(key, default=default, required=required, enum=enum, description=description)
        self.secret, self.pattern = secret, pattern
        self._match = re.compile(pattern) if pattern else None

    def schema(self) -> dict[str, Any]:
        out = super().schema()
        if self.pattern:
            out["pattern"] = self.pattern
        if self.secret:
            out["writeOnly"] = True
        return out

    def fault(self, value: Any) -> str:
        fault = super().fault(value)
        if not fault and self._match and not self._match.search(value):
            fault = f"is {_show(value)}: want a text that fits {self.pattern}"
        return "is not what is wanted: " + fault.partition(": ")[2] if fault and self.secret else fault


class ListRule(Rule):
    """A list, whose items fit the rule ``items`` (a text each, unless it is given)."""

    type, python, article = "array", (list, tuple), "a list"

    def __init__(self, key: str = "", *, items: Rule | None = None, default: Iterable[Any] | None = None, minimum: int = 0,
                 maximum: int | None = None, required: bool = False, description: str = ""):
        super().__init__(key, default=None if default is None else list(default), required=required, description=description)
        self.items, self.minimum, self.maximum = items or StringRule(), minimum, maximum

    def schema(self) -> dict[str, Any]:
        out = super().schema()
        out["items"] = self.items.schema()
        if self.minimum:
            out["minItems"] = self.minimum
        if self.maximum is not None:
            out["maxItems"] = self.maximum
        return out

    def fault(self, value: Any) -> str:
        fault = super().fault(value)
        if fault:
            return fault
        if len(value) < self.minimum or self.maximum is not None and len(value) > self.maximum:
            most = "" if self.maximum is None else f" and at most {self.maximum}"
            return f"has {len(value)} items: want at least {self.minimum}{most}"
        wrong = [f"item {n} {f}" for n, f in enumerate((self.items.fault(v) for v in value), 1) if f]
        return ", ".join(wrong[:3])

    def read(self, value: Any) -> list[Any]:
        return [self.items.read(v) for v in value]


class DurationRule(Rule):
    """A length of time, written "10s", "1m30s", "250ms"; the plugin gets seconds as a float."""

    type, python, article = "string", (str,), 'a length of time such as "10s" or "1m30s"'
    pattern = r"^-?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$"

    def __init__(self, key: str = "", *, default: str | float | None = None, minimum: str | float | None = None,
                 maximum: str | float | None = None, required: bool = False, description: str = ""):
        text = default if default is None or isinstance(default, str) else f"{default:g}s"
        super().__init__(key, default=text, required=required, description=description)
        self.minimum, self.maximum = minimum, maximum

    def schema(self) -> dict[str, Any]:
        return {**super().schema(), "pattern": self.pattern}

    def fault(self, value: Any) -> str:
        fault = super().fault(value)
        if fault:
            return fault
        try:
            got = seconds(value)
        except ValueError:
            return f"is {_show(value)}: want {self.article}"
        if self.minimum is not None and got < seconds(self.minimum):
            return f"is {value}: want at least {self.minimum}"
        if self.maximum is not None and got > seconds(self.maximum):
            return f"is {value}: want at most {self.maximum}"
        return ""

    def read(self, value: Any) -> float:
        return seconds(value)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|ms|s|m|h))+\Z|0\Z")
_PIECE = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")


def seconds(text: str | float) -> float:
    """The seconds of "1m30s"; a number is seconds already."""
    if not isinstance(text, str):
        return float(text)
    if not _DURATION.match(text):
        raise ValueError(f'{text!r} is no length of time: write it like "10s" or "1m30s"')
    whole = sum(float(n) * _UNITS[unit] for n, unit in _PIECE.findall(text))
    return -whole if text.startswith("-") else whole


class ConfigMap(dict):
    """A config in force: a dict whose keys are attributes too. Its secrets do not show."""

    def __init__(self, values: Mapping[str, Any] | None = None, secrets: Iterable[str] = ()):
        super().__init__(values or {})
        object.__setattr__(self, "_secrets", frozenset(secrets))

    def __getattr__(self, key: str) -> Any:
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"there is no setting {key!r}: there are {', '.join(self) or 'none'}") from None

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError("a config is changed by its operator, not by the plugin")

    def __repr__(self) -> str:
        shown = {k: "***" if k in self._secrets and v is not None else v for k, v in self.items()}
        return f"ConfigMap({shown})"

    __str__ = __repr__


class ConfigPolicy:
    """All settings of a plugin.

    Made of rules, ``ConfigPolicy(IntegerRule("limit", default=9000), ...)``, or as in Snap of branches,
    ``ConfigPolicy([("acme", "fan"), [("limit", IntegerRule(default=9000))]])``. The settings of all branches are one config.
    check, if given, is called with a config that fits the rules, and returns what else is wrong, each a sentence.
    """

    def __init__(self, *rules: Any, check: Callable[[ConfigMap], Iterable[str] | None] | None = None):
        self.rules: dict[str, Rule] = {}
        self._check = check
        for rule in rules:
            if isinstance(rule, Rule):
                self._add(rule.key, rule)
                continue
            for key, one in rule[1]:
                self._add(key, one)

    def _add(self, key: str, rule: Rule) -> None:
        if not _KEY.match(key):
            raise ValueError(f"setting {key!r}: a name has lower-case letters, digits and _, and begins with a letter")
        if key in RESERVED:
            raise ValueError(f"setting {key!r}: the name means the same for every plugin; take another one")
        if key in self.rules and self.rules[key].schema() != rule.schema():
            raise ValueError(f"setting {key!r} has two rules: all branches share one config")
        rule.key = key
        if rule.default is not None and rule.fault(rule.default):
            raise ValueError(f"default of {key!r} {rule.fault(rule.default)}")
        self.rules[key] = rule

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a config, as the manifest has it."""
        properties: dict[str, Any] = {}
        for key, rule in self.rules.items():
            properties[key] = rule.schema()
            if _secret(rule):
                properties[key + "_file"] = {
                    "type": "string", "description": f"a file that holds {key}, read by the plugin itself"}
        out: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        required = [k for k, r in self.rules.items() if r.required and r.default is None and not _secret(r)]
        if required:
            out["required"] = required
        return out

    def defaults(self) -> dict[str, Any]:
        """The settings that have a default, as they stand in a config."""
        return {k: r.default for k, r in self.rules.items() if r.default is not None}

    def read(self, given: Any) -> ConfigMap:
        """The config that the settings given make, defaults filled in. Raises ConfigError with all that is wrong."""
        if not isinstance(given, Mapping):
            raise ConfigError([f"settings are {_show(given)}: want a JSON object"])
        rest, values, faults = dict(given), {}, []
        for key, rule in self.rules.items():
            value = rest.pop(key, None)
            file = rest.pop(key + "_file", None) if _secret(rule) else None
            if file not in (None, ""):
                value, wrong = _from_file(key, value, file)
                faults += wrong
                if wrong:
                    continue
            value = rule.default if value is None else value
            if value is None:
                if rule.required:
                    way = f" or {key}_file" if _secret(rule) else ""
                    faults.append(f"{key} is missing: set it{way} to {rule.article}")
                values[key] = None
                continue
            fault = rule.fault(value)
            if fault:
                faults.append(f"{key} {fault}")
            else:
                values[key] = rule.read(value)
        faults += [_unknown(key, self.rules) for key in rest]
        config = ConfigMap(values, (k for k, r in self.rules.items() if _secret(r)))
        if not faults and self._check:
            faults = list(self._check(config) or ())
        if faults:
            raise ConfigError(faults)
        return config


def _secret(rule: Rule) -> bool:
    return isinstance(rule, StringRule) and rule.secret


def _from_file(key: str, value: Any, path: Any) -> tuple[Any, list[str]]:
    """The secret in a file, without its last line end, or what is wrong."""
    if not isinstance(path, str):
        return None, [f"{key}_file is {_show(path)}: want a path"]
    if value is not None:
        return None, [f"{key} and {key}_file are both set: give one of them"]
    try:
        if os.stat(path).st_mode & stat.S_IROTH:
            return None, [f"{key}_file: {path} can be read by everybody: chmod o-r it"]
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, ValueError) as err:
        return None, [f"{key}_file: {err}"]
    for end in ("\n", "\r"):
        text = text[:-1] if text.endswith(end) else text
    return text, []


def _whole(value: Any) -> Any:
    """JSON knows no integers: 3.0 is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f'"{value}"' if isinstance(value, str) else "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(key: Any, known: Iterable[str]) -> str:
    import difflib  # rarely needed, and not cheap

    names = list(known)
    near = difflib.get_close_matches(str(key), names, 1)
    if near:
        return f"{key}: no such setting: did you mean {near[0]}?"
    return f"{key}: no such setting: there are {', '.join(names)}" if names else f"{key}: no such setting: it has none"
