#!/usr/bin/env python3
"""my-plugin is a publisher of pacewire: it appends points to a file, a line of JSON each."""
import json
import os

import pacewire as pw

app = pw.App(
    "my-plugin", "0.1.0", summary="Appends points to a file.",
    config=[pw.StringRule("path", default="my-plugin.jsonl", description="the file to append to")],
)


@app.publish
def append(batch, config):
    """Is called for each batch. When it returns, the sink has every point; after an error the same points are given again, later
    and for ever. pw.Permanent("why") sets them aside instead."""
    with open(config.path, "a", encoding="utf-8") as file:
        for p in batch.points():
            # Go on here: this is one point.
            file.write(json.dumps({"series": p.series, "time_ns": p.time_ns, "tags": p.tags, "fields": p.fields}) + "\n")
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    app.run()
