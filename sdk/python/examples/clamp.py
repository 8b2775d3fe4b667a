#!/usr/bin/env python3
"""A processor: keeps a number within bounds, and drops the points of one series."""
import pacewire as pw


class Clamp(pw.Processor):
    """Keeps numbers within bounds."""

    config = pw.ConfigPolicy(
        pw.FloatRule("low", default=0.0, description="less becomes this"),
        pw.FloatRule("high", default=100.0, description="more becomes this"),
        pw.StringRule("drop", description="name of a series to leave out"),
        check=lambda c: [] if c.low <= c.high else [f"low is {c.low}: want at most high, which is {c.high}"])

    def process(self, metrics, config):
        for metric in metrics:
            if isinstance(metric.data, float):
                metric.data = min(max(metric.data, config.low), config.high)
            if config.drop != metric.namespace.split()[0]:
                yield metric


if __name__ == "__main__":
    Clamp("clamp", "1.0.0").run()
