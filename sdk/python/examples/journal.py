#!/usr/bin/env python3
"""A publisher: appends points to a file, a JSON line each."""
import json
import os

import pacewire as pw


class Journal(pw.Publisher):
    """Appends points to a file."""

    config = pw.ConfigPolicy(
        pw.StringRule("path", description="file to append to; without one points.jsonl in the plugin's folder"))

    def start(self):
        os.makedirs(self.dir or ".", exist_ok=True)
        path = self.config.path or os.path.join(self.dir, "points.jsonl")
        try:
            self.file = open(path, "a")
        except PermissionError as err:
            raise pw.Denied(f"{err}: let this user write there") from err

    def publish_batch(self, batch, config):
        for p in batch.points():
            json.dump({"time": p.time_ns, "series": p.series, "tags": p.tags, "fields": p.fields}, self.file)
            self.file.write("\n")
        self.file.flush()
        os.fsync(self.file.fileno())  # only then the batch counts as delivered

    def stop(self):
        if hasattr(self, "file"):
            self.file.close()


if __name__ == "__main__":
    Journal("journal", "1.0.0").run()
