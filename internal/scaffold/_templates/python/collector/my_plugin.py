#!/usr/bin/env python3
"""my-plugin is a collector of pacewire: it counts the files of a folder."""
import os

import pacewire as pw


class Folder(pw.Collector):
    """Counts the files of a folder."""

    config = pw.ConfigPolicy(pw.StringRule("path", default="/tmp", description="the folder whose files are counted"))

    def update_catalog(self, config):
        yield pw.series("my-plugin", "What is in a folder.", tags={"path": "the folder"}, fields={"files": "files"},
                        types={"files": "i"})

    def collect(self, metrics):
        """Is called each interval. What is raised is told to the operator, and the next interval tries again."""
        path = self.config["path"]
        # Go on here: yield a point for each thing that you measure, and describe it in the catalog above.
        yield pw.point("my-plugin", {"path": path}, files=len(os.listdir(path)))


if __name__ == "__main__":
    Folder("my-plugin", "0.1.0").run()
