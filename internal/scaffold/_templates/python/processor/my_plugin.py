#!/usr/bin/env python3
"""my-plugin is a processor of pacewire: it gives every point a tag."""
import pacewire as pw

app = pw.App(
    "my-plugin", "0.1.0", summary="Gives every point a tag.",
    config=[pw.StringRule("site", default="lab", description="the value of the tag site")],
)


@app.process
def tag(batch, config):
    """Is called for each batch, and returns what goes on. After an error it is called with the same points again."""
    for group in batch.groups:  # the points of one series, as columns
        # Go on here: group.series, group.column("usage"), group.keep([...]), batch.add("other", {"field": 1.5}).
        # A function that takes metrics instead of batch gets them one by one, which is easier and slower.
        group.set_tag("site", config.site)
    return batch


if __name__ == "__main__":
    app.run()
