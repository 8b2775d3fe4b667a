#!/usr/bin/env python3
"""my-plugin is a collector of pacewire: it counts the files of a folder."""
import os

import pacewire as pw

app = pw.App(
    "my-plugin", "0.1.0", summary="Counts the files of a folder.",
    config=[pw.StringRule("path", default="/tmp", description="the folder whose files are counted")],
    catalog=[pw.series("my-plugin", "What is in a folder.", tags={"path": "the folder"},
                       fields={"files": "files"}, types={"files": "i"})],  # units; types of what is no float
)


@app.collect(every="10s")
def count(config):
    """Is called each interval. What it raises is told to the operator, and the next interval tries again."""
    path = config.path
    # Go on here: yield a point for each thing that you measure, and describe it in the catalog above.
    yield pw.point("my-plugin", {"path": path}, files=len(os.listdir(path)))


if __name__ == "__main__":
    app.run()
