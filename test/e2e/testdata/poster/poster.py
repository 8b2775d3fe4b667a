"""A publisher that writes line protocol by HTTP, as the built-in one for InfluxDB does: a batch is delivered when the server says so."""

import pathlib
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "sdk" / "python"))

import pacewire as pw


def line(point):
    """A point as line protocol; this test has no names that need escapes."""
    tags = "".join(f",{key}={value}" for key, value in point.tags.items())
    fields = ",".join(f"{key}={value}{'i' if isinstance(value, int) else ''}" for key, value in point.fields.items())
    return f"{point.series}{tags} {fields} {point.time_ns}\n"


class Poster(pw.Publisher):
    """Writes points to a server by HTTP."""

    config = pw.ConfigPolicy(pw.StringRule("url", required=True, description="where the server is"))

    def publish_batch(self, batch, config):
        body = "".join(map(line, batch.points())).encode()
        try:
            urllib.request.urlopen(urllib.request.Request(config.url + "/write", body), timeout=25).close()
        except urllib.error.HTTPError as err:
            with err:
                if err.code == 400:
                    raise pw.Permanent(err.read().decode()) from err
            raise


Poster("poster", "1.0.0").run()
