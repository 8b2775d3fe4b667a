#!/usr/bin/env python3
"""my-plugin is a processor of pacewire: it gives every point a tag."""
import pacewire as pw


class Tagger(pw.Processor):
    """Gives every point a tag."""

    config = pw.ConfigPolicy(pw.StringRule("site", default="lab", description="the value of the tag site"))

    def process(self, metrics, config):
        """Is called for each batch. What it does not yield is dropped. After an error it is called with the same points again."""
        for metric in metrics:
            # Go on here: metric.namespace, metric.data, metric.tags, metric.timestamp. Where it has to be fast, write
            # process_batch(self, batch, config) instead: it works on whole columns.
            metric.tags["site"] = config["site"]
            yield metric


if __name__ == "__main__":
    Tagger("my-plugin", "0.1.0").run()
