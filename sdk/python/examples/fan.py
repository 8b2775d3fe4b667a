#!/usr/bin/env python3
"""A collector: the speed of each fan that Linux knows, or of two made ones."""
import glob

import pacewire as pw


class Fan(pw.Collector):
    """Speed of the fans, from hwmon."""

    config = pw.ConfigPolicy(
        pw.StringRule("path", default="/sys/class/hwmon/hwmon*/fan*_input", description="files with the speed of one fan each"),
        pw.IntegerRule("limit", default=9000, minimum=1, description="rpm that counts as full speed"),
        pw.BoolRule("demo", default=True, description="show two made fans where there are none"))

    def update_catalog(self, config):
        slot = pw.dynamic("slot", "which fan")
        yield pw.Metric(("acme", "fan", slot, "rpm"), unit="rpm", description="Speed of a fan.")
        yield pw.Metric(("acme", "fan", slot, "share"), unit="ratio", description="Speed of a fan.")

    def collect(self, metrics):
        for slot, rpm in self.read():
            place = pw.dynamic("slot", value=slot)
            yield pw.Metric(("acme", "fan", place, "rpm"), data=float(rpm))
            yield pw.Metric(("acme", "fan", place, "share"), data=rpm / self.config.limit)

    def read(self):
        files = sorted(glob.glob(self.config.path))
        if not files and self.config.demo:
            yield from (("a", 4200), ("b", 4350))
        for path in files:
            with open(path) as file:
                yield path.split("/")[-1].partition("_")[0], int(file.read())


if __name__ == "__main__":
    Fan("fan", "1.0.0").run()
