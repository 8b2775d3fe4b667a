#!/usr/bin/env python3
"""A stream collector: counts of "name value" lines that come by UDP."""
import asyncio

import pacewire as pw

app = pw.App("udp", "1.0.0", config=[
    pw.StringRule("address", default="127.0.0.1", description="where to listen"),
    pw.IntegerRule("port", default=0, minimum=0, maximum=65535, description="port to listen at; 0: any that is free")],
    catalog=[pw.series("udp", "A value that somebody sent.", tags={"name": "what it is"}, fields={"value": ""})])


class Listener(asyncio.DatagramProtocol):
    def __init__(self):
        self.lines = asyncio.Queue(1000)  # more are dropped: UDP promises nothing

    def datagram_received(self, data, sender):
        for line in data.decode(errors="replace").splitlines():
            if not self.lines.full():
                self.lines.put_nowait(line.split())


@app.stream
async def listen(config):
    """Values that come as lines by UDP."""
    loop = asyncio.get_running_loop()
    transport, udp = await loop.create_datagram_endpoint(Listener, (config.address, config.port))
    app.log.info("listening", extra={"port": transport.get_extra_info("sockname")[1]})
    try:
        while True:
            name, value = await udp.lines.get()
            yield pw.point("udp", {"name": name}, value=float(value))
    finally:
        transport.close()


if __name__ == "__main__":
    app.run()
