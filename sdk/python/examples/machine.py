#!/usr/bin/env python3
"""A collector of facts: what machine this is. Found once, kept, and found anew when `pacewire host refresh` asks."""
import os
import platform

import pacewire as pw


class Machine(pw.InfoPlugin):
    """What machine this is."""

    config = pw.ConfigPolicy(
        pw.StringRule("release", default="/etc/os-release", description="file with the name of the system"))

    def initialize(self):
        return os.path.exists(self.config.release)  # False: there is nothing to do here

    def collect(self):
        with open(self.config.release, encoding="utf-8") as file:
            release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
        return {
            "name": release.get("PRETTY_NAME", "").strip('"'),
            "kernel": platform.release(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "python": platform.python_version()}


if __name__ == "__main__":
    Machine("machine", "1.0.0").run()
