#!/usr/bin/env python3
"""An on-event plugin: runs a command for hosts that went down, one for all that went down together."""
import subprocess

import pacewire as pw

app = pw.App("pager", "1.0.0", config=[
    pw.ListRule("command", default=["echo"], minimum=1, description="program and arguments; the text is one more"),
    pw.DurationRule("limit", default="10s", minimum="1s", description="how long the command may take")])


@app.on("host_down")
def page(events, config):
    """Runs a command for hosts that went down."""
    text = f"{len(events)} down: " + ", ".join(sorted({e.host for e in events}))
    done = subprocess.run([*config.command, text], timeout=config.limit, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{config.command[0]} ended with {done.returncode}: {done.stderr.strip()}")  # tried again
    app.log.info("paged", extra={"text": text})


if __name__ == "__main__":
    app.run()
