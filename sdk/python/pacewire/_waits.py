"""Waiting for one of several things. asyncio.wait_for is left alone where a task may be cancelled: before Python 3.12 it swallows
a cancellation that comes together with the result."""
from __future__ import annotations

import asyncio
from typing import Any, Coroutine, Optional, Union


async def either(*waits: Union[Coroutine[Any, Any, Any], asyncio.Future[Any]], seconds: Optional[float] = None) -> None:
    """Waits until one of these is done, or for so many seconds. Coroutines that are not done then are cancelled; futures and tasks
    belong to the caller, and are left as they are."""
    own = {asyncio.ensure_future(w) for w in waits if asyncio.iscoroutine(w)}
    try:
        await asyncio.wait(own | {w for w in waits if isinstance(w, asyncio.Future)}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks and waits until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(set(tasks))
