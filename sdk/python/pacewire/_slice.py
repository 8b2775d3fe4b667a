"""Small work on batches: parts of them by the numbers of their points, tags for all."""
from __future__ import annotations

from typing import Iterator

from ._batch import Batch
from ._group import Group


def cut(batch: Batch, first: int, last: int) -> Batch:
    """Leaves in a batch its points from first to last, which is not among them."""
    at, groups = 0, []
    for group in batch.groups:
        size = len(group)
        low, high = max(first - at, 0), min(last - at, size)
        at += size
        if low < high:
            groups.append(group if high - low == size else group.part(range(low, high)))
    batch.groups[:] = groups
    return batch


def default_tag(batch: Batch, key: str, value: str) -> None:
    """Gives a tag to the points that lack it."""
    for group in batch.groups:
        if not group.tags.get(key):  # what a point says itself goes before it
            group.tags = {**group.tags, key: value}


def names_of(group: Group) -> Iterator[tuple[tuple[str, str], ...]]:
    """What tells the series of each point from others of its group."""
    return (tuple(sorted(tags.items())) for tags in group.tag_rows())
