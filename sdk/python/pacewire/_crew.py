"""Runs the code of an author away from the loop that beats, and watches that it comes back."""
from __future__ import annotations

import asyncio
import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, AsyncIterator, Awaitable, Callable, Iterable

from ._errors import Late

HANG = 5.0  # seconds after its deadline that a call counts as hung
_THREADS = 1100  # a config may want 1024 calls side by side


class Crew:
    """The threads of an author's code: async functions share one with a loop of its own, each other call has one of a pool.

    So nothing that an author writes, not even a loop without end, keeps a heartbeat from leaving.
    """

    def __init__(self, hung: Callable[[bool], None] = lambda hangs: None, called: Callable[[float], None] = lambda seconds: None):
        self._hung, self._called = hung, called
        self._pool = ThreadPoolExecutor(_THREADS, "pacewire-call")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.running = 0  # calls that have not come back
        self._hanging = 0

    async def call(self, f: Callable[..., Any], *args: Any, limit: float | None, each: Callable[[Any], Any] | None = None) -> Any:
        """Calls f, a function of any colour, and returns what it returns.

        With each it is told every item of what f returns or yields, so that what comes before an error is kept; where it returns
        a future of concurrent.futures, the next item waits for that. After limit seconds an async call is cancelled, and who does
        not heed that is reported as hung; any other call cannot be ended from outside, and is waited for. None: there is no limit.
        """
        work = self._begin(f, args, each or (lambda item: None), each is None)
        begun = time.monotonic()
        self.running += 1
        work.add_done_callback(self._ended)
        late = False
        try:
            if not await _done(work, limit):
                late = True
                work.cancel_author()
                if not await _done(work, HANG):
                    self._hangs(work)
                    await _done(work, None)
            self._called(time.monotonic() - begun)
            return work.result()
        except asyncio.CancelledError:
            if not work.cancelled():  # it is we who are cancelled
                work.cancel_author()
                raise
            raise (Late(f"no answer in {limit:g} s") if late else RuntimeError("the call was cancelled")) from None

    def _hangs(self, work: asyncio.Future[Any]) -> None:
        """Reports a call as hung, until it comes back after all."""
        def back(_: Any) -> None:
            self._hanging -= 1
            if not self._hanging:
                self._hung(False)

        self._hanging += 1
        self._hung(True)
        work.add_done_callback(back)

    async def idle(self, limit: float) -> bool:
        """Waits until no call is in progress, and reports whether that came to be in time."""
        end = time.monotonic() + limit
        while self.running and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return not self.running

    def _ended(self, work: asyncio.Future[Any]) -> None:
        self.running -= 1
        if not work.cancelled():
            work.exception()  # whoever waited for it has it, or is gone

    def _begin(self, f: Callable[..., Any], args: tuple[Any, ...], each: Callable[[Any], Any], plain: bool) -> _Work:
        work = _Work(loop=asyncio.get_running_loop())
        call = getattr(f, "__call__", f) if not inspect.isroutine(f) else f
        if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) or getattr(f, "is_async", False):
            self._author_loop().call_soon_threadsafe(work.begin_task, _take_async(lambda: f(*args), each, plain))
        else:
            self._pool.submit(work.run, lambda: self._take(f(*args), each, plain))
        return work

    def _take(self, result: Any, each: Callable[[Any], Any], plain: bool) -> Any:
        """Takes what a call in a thread has returned; a promise in disguise is kept on the author's loop."""
        if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
            return asyncio.run_coroutine_threadsafe(_take_async(lambda: result, each, plain), self._author_loop()).result()
        if not plain:
            for item in items(result):
                wait = each(item)
                if wait is not None:
                    wait.result()
        return result

    def _author_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run_loop, args=(self._loop,), name="pacewire-author", daemon=True).start()
        return self._loop

    def close(self) -> None:
        """Ends the threads that are free. Those in a call cannot be ended, only left behind."""
        self._pool.shutdown(wait=False)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.wait_for(_settle(left), 2.0))
    loop.close()


async def _settle(tasks: set[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.sleep(0)  # for what was called soon, such as the end of a transport


class _Work(asyncio.Future):
    """A call in another thread, as a future of the loop that waits for it."""

    task: asyncio.Task[Any] | None = None
    cancel_wanted = False

    def begin_task(self, work: Awaitable[Any]) -> None:  # on the author's loop
        self.task = asyncio.ensure_future(work)
        if self.cancel_wanted:
            self.task.cancel()
        self.task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._tell(self.cancel)
        elif task.exception() is not None:
            self._tell(self._fail, task.exception())
        else:
            self._tell(self._succeed, task.result())

    def run(self, f: Callable[[], Any]) -> None:  # in a thread
        try:
            result = f()
        except BaseException as err:  # whatever it is, it is the author's
            self._tell(self._fail, err)
        else:
            self._tell(self._succeed, result)

    def cancel_author(self) -> None:
        """Asks an async call to end."""
        self.cancel_wanted = True
        task = self.task
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)

    def _tell(self, f: Callable[..., Any], *args: Any) -> None:
        try:
            self.get_loop().call_soon_threadsafe(f, *args)
        except RuntimeError:
            pass  # the loop that waited is closed

    def _succeed(self, result: Any) -> None:
        if not self.done():
            self.set_result(result)

    def _fail(self, err: BaseException) -> None:
        if self.done():
            return
        if isinstance(err, (StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit)):
            err = _tamed(err)
        if isinstance(err, asyncio.CancelledError):
            self.cancel()
        else:
            self.set_exception(err)


async def _done(work: asyncio.Future[Any], limit: float | None) -> bool:
    done, _ = await asyncio.wait({work}, timeout=limit)
    return bool(done)


def _tamed(err: BaseException) -> RuntimeError:
    """What would end more than the call, as an ordinary error."""
    tame = RuntimeError(f"the call raised {type(err).__name__}: {err}")
    tame.__cause__ = err
    return tame


async def _take_async(begin: Callable[[], Any], each: Callable[[Any], Any], plain: bool) -> Any:
    try:
        return await _taken(begin, each, plain)
    except (KeyboardInterrupt, SystemExit) as err:  # would end the loop that all async calls share
        raise _tamed(err) from err


async def _taken(begin: Callable[[], Any], each: Callable[[Any], Any], plain: bool) -> Any:
    result = begin()
    if inspect.isawaitable(result):
        result = await result
    if plain:
        return result
    if hasattr(result, "__aiter__"):
        await _take_stream(result, each)
        return None
    for item in items(result):
        each(item)
    return result


async def _take_stream(stream: AsyncIterator[Any], each: Callable[[Any], Any]) -> None:
    try:
        async for item in stream:
            wait = each(item)
            if wait is not None:
                await asyncio.wrap_future(wait)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def items(result: Any) -> Iterable[Any]:
    """What a call has returned, as its items: none, one, or several."""
    if result is None:
        return ()
    if isinstance(result, (list, set, frozenset)) or inspect.isgenerator(result):
        return result
    if type(result) is tuple or hasattr(result, "__next__") or isinstance(result, (map, filter, zip)):
        return result
    return (result,)
