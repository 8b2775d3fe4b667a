"""Parts of batches, by the numbers of their points."""
from __future__ import annotations

from ._batch import Batch


def cut(batch: Batch, first: int, last: int) -> Batch:
    """The points first to last (without it) of a batch, which is used up."""
    at, groups = 0, []
    for group in batch.groups:
        size = len(group)
        low, high = max(first - at, 0), min(last - at, size)
        at += size
        if low >= high:
            continue
        if low > 0 or high < size:
            group.select(range(low, high))
        groups.append(group)
    batch.groups[:] = groups
    return batch
