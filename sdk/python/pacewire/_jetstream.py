"""Streams: publishing to them and reading them, each message at least once."""
from ._sink import Refused, Sink
from ._source import Delivery, Source

__all__ = ["Delivery", "Refused", "Sink", "Source"]
