import os
import tempfile
import unittest

from pacewire import (BoolRule, ConfigError, ConfigMap, ConfigPolicy, DurationRule, FloatRule, IntegerRule, ListRule, StringRule)
from pacewire._config import RESERVED, seconds


class Rules(unittest.TestCase):
    def test_values(self):
        def f(rule, given, want):
            rule.key = "x"
            got = ConfigPolicy(rule).read({"x": given}).x
            self.assertEqual(got, want)
            self.assertIs(type(got), type(want))

        f(IntegerRule(), 3, 3)
        f(IntegerRule(), 3.0, 3)  # JSON knows no integers
        f(IntegerRule(minimum=1, maximum=3), 3, 3)
        f(FloatRule(), 3, 3.0)
        f(FloatRule(enum=[0.5, 1.0]), 0.5, 0.5)
        f(BoolRule(), False, False)
        f(StringRule(pattern="^a+$"), "aaa", "aaa")
        f(StringRule(enum=["a", "b"]), "b", "b")
        f(ListRule(), ["a", "b"], ["a", "b"])
        f(ListRule(items=DurationRule()), ["1s", "2m"], [1.0, 120.0])
        f(DurationRule(minimum="1s"), "1m30s", 90.0)

    def test_faults(self):
        def f(rule, given, want):
            rule.key = "x"
            with self.assertRaises(ConfigError) as caught:
                ConfigPolicy(rule).read({"x": given})
            self.assertEqual(caught.exception.faults, [want])

        f(IntegerRule(), "3", 'x is "3": want a whole number')
        f(IntegerRule(), 3.5, "x is 3.5: want a whole number")
        f(IntegerRule(), True, "x is true: want a whole number")
        f(IntegerRule(minimum=1), 0, "x is 0: want at least 1")
        f(IntegerRule(maximum=9), 10, "x is 10: want at most 9")
        f(FloatRule(), float("nan"), "x is nan: want a finite number")
        f(BoolRule(), 1, "x is 1: want true or false")
        f(StringRule(pattern="^a+$"), "ab", 'x is "ab": want a text that fits ^a+$')
        f(StringRule(enum=["a", "b"]), "c", 'x is "c": want one of "a", "b"')
        f(ListRule(), "a", 'x is "a": want a list')
        f(ListRule(minimum=1), [], "x has 0 items: want at least 1")
        f(ListRule(items=IntegerRule()), [1, "b"], 'x item 2 is "b": want a whole number')
        f(DurationRule(), "10", 'x is "10": want a length of time such as "10s" or "1m30s"')
        f(DurationRule(minimum="1s"), "10ms", "x is 10ms: want at least 1s")
        f(StringRule(secret=True, pattern="^k-"), "hunter2", "x is not what is wanted: want a text that fits ^k-")

    def test_all_faults_at_once(self):
        policy = ConfigPolicy(IntegerRule("limit", minimum=1), StringRule("path", required=True), BoolRule("demo"))
        with self.assertRaises(ConfigError) as caught:
            policy.read({"limit": 0, "demo": "yes", "limits": 3})
        self.assertEqual(str(caught.exception), 'limit is 0: want at least 1; path is missing: set it to a text; '
                         'demo is "yes": want true or false; limits: no such setting: did you mean limit?')

    def test_not_an_object(self):
        with self.assertRaisesRegex(ConfigError, "settings are 3: want a JSON object"):
            ConfigPolicy().read(3)

    def test_check_of_ones_own(self):
        policy = ConfigPolicy(IntegerRule("a", default=1), IntegerRule("b", default=2),
                              check=lambda c: ["a is above b"] if c.a > c.b else None)
        self.assertEqual(policy.read({}).b, 2)
        with self.assertRaisesRegex(ConfigError, "a is above b"):
            policy.read({"a": 3})

    def test_seconds(self):
        for text, want in (("10s", 10), ("1m30s", 90), ("250ms", 0.25), ("-1h", -3600), ("0", 0), (3, 3), ("1.5h", 5400), ("2us", 2e-6)):
            self.assertAlmostEqual(seconds(text), want)
        for text in ("", "10", "s", "1d", "1 s", "10s "):
            with self.assertRaises(ValueError):
                seconds(text)


class Policy(unittest.TestCase):
    def test_schema(self):
        policy = ConfigPolicy(
            IntegerRule("limit", default=9000, minimum=1, maximum=10000, description="rpm"), StringRule("mode", enum=["a", "b"], required=True),
            StringRule("password", secret=True), ListRule("names", default=["x"]), DurationRule("window", default=90))
        self.assertEqual(policy.schema(), {
            "type": "object", "additionalProperties": False, "required": ["mode"],
            "properties": {
                "limit": {"type": "integer", "default": 9000, "minimum": 1, "maximum": 10000, "description": "rpm"},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "password": {"type": "string", "writeOnly": True},
                "password_file": {"type": "string", "description": "a file that holds password, read by the plugin itself"},
                "names": {"type": "array", "items": {"type": "string"}, "default": ["x"]},
                "window": {"type": "string", "default": "90s", "pattern": DurationRule.pattern}}})
        self.assertEqual(policy.defaults(), {"limit": 9000, "names": ["x"], "window": "90s"})

    def test_snaps_form(self):
        policy = ConfigPolicy([("acme", "fan"), [("limit", IntegerRule(default=3)), ("path", StringRule())]], [("acme",), [("limit", IntegerRule(default=3))]])
        self.assertEqual(policy.read({}), {"limit": 3, "path": None})
        with self.assertRaisesRegex(ValueError, "two rules"):
            ConfigPolicy([("a",), [("x", IntegerRule())]], [("b",), [("x", StringRule())]])

    def test_what_cannot_be_declared(self):
        def f(want, make):
            with self.assertRaisesRegex(ValueError, want):
                make()

        f("a name has lower-case letters", lambda: ConfigPolicy(IntegerRule("Limit")))
        f("a name has lower-case letters", lambda: ConfigPolicy(IntegerRule()))
        f("means the same for every plugin", lambda: ConfigPolicy(IntegerRule("every")))
        f("default of 'x' is 0: want at least 1", lambda: ConfigPolicy(IntegerRule("x", default=0, minimum=1)))
        f("a secret has no default", lambda: StringRule("x", secret=True, default="hunter2"))
        self.assertIn("timeout", RESERVED)

    def test_secrets(self):
        policy = ConfigPolicy(StringRule("password", secret=True, required=True))
        self.assertNotIn("required", policy.schema())  # it may come by password_file
        config = policy.read({"password": "hunter2"})
        self.assertEqual(config.password, "hunter2")
        self.assertNotIn("hunter2", f"{config} {config!r}")
        with self.assertRaisesRegex(ConfigError, "password is missing: set it or password_file to a text"):
            policy.read({})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "secret")
            with open(path, "w") as file:
                file.write("from file\r\n")
            os.chmod(path, 0o600)
            self.assertEqual(policy.read({"password_file": path}).password, "from file")
            with self.assertRaisesRegex(ConfigError, "both set: give one of them"):
                policy.read({"password_file": path, "password": "x"})
            os.chmod(path, 0o644)
            with self.assertRaisesRegex(ConfigError, "chmod o-r it"):
                policy.read({"password_file": path})
            with self.assertRaisesRegex(ConfigError, "No such file"):
                policy.read({"password_file": path + "-"})
            with self.assertRaisesRegex(ConfigError, "password_file is 3: want a path"):
                policy.read({"password_file": 3})


class Map(unittest.TestCase):
    def test_like_a_dict_with_attributes(self):
        config = ConfigMap({"limit": 3, "items": 4})
        self.assertEqual((config["limit"], config.limit, config.get("no"), list(config)), (3, 3, None, ["limit", "items"]))
        self.assertEqual(config, {"limit": 3, "items": 4})
        with self.assertRaisesRegex(AttributeError, "there are limit, items"):
            config.limits
        with self.assertRaises(AttributeError):
            config.limit = 4


if __name__ == "__main__":
    unittest.main()
