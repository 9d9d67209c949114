"""The next checkpoint is fetched while this one is measured."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    items: Iterable[Item],
    fetch: Callable[[Item], Result],
    depth: int = 1,
    release: Callable[[Item], object] | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Yields (item, fetch(item)) in order, while a background thread fetches up to `depth` items
    further.

    Args:
        release: told of every fetched item once, after its use, or when it is clear that nobody
            will use it.

    What `fetch` raises for an item is raised when that item is reached. A fetch under way when the
    consumer stops is not waited for: it ends with the process, or is released when it is done.
    """
    items, release = list(items), release or (lambda item: None)
    worker = _Worker(items, fetch, depth, release)
    try:
        for item in items:
            result = worker.next()
            try:
                yield item, result
            finally:
                release(item)
    finally:
        worker.stop()


def background(job: Callable[[], Result], name: str = "fetch") -> Future[Result]:
    """Runs `job` in a thread that, unlike an executor's, does not hold up the end of the
    process."""
    future: Future[Result] = Future()

    def run():
        try:
            future.set_result(job())
        except BaseException as error:  # told to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class _Worker:
    """One thread that fetches items in order, a permit each; the consumer gives one back with every
    item it takes."""

    def __init__(self, items: list, fetch: Callable, depth: int, release: Callable):
        self._fetch, self._release = fetch, release
        self._ready: queue.SimpleQueue = queue.SimpleQueue()  # (item, future), done
        self._permits = threading.Semaphore(max(1, depth))
        self._stopped = False
        self._ending = (
            threading.Lock()
        )  # so that an item is either handed over or released, never both
        background(lambda: self._run(items), "prefetch")

    def next(self):
        _, future = self._ready.get()
        self._permits.release()
        return future.result()

    def stop(self):
        with self._ending:
            self._stopped = True
        self._permits.release()
        while not self._ready.empty():
            self._drop(*self._ready.get())

    def _run(self, items: list):
        for item in items:
            self._permits.acquire()
            if self._stopped:
                return
            future: Future = Future()
            try:
                future.set_result(self._fetch(item))
            except BaseException as error:
                future.set_exception(error)
            self._hand_over(item, future)
            if future.exception():
                return  # the consumer gets no further

    def _hand_over(self, item, future: Future):
        with self._ending:
            if not self._stopped:
                self._ready.put((item, future))
                return
        self._drop(item, future)

    def _drop(self, item, future: Future):
        if not future.exception():
            self._release(item)
