"""The next checkpoint is fetched while this one is measured."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def prefetched(
    keys: Iterable[Key],
    fetch: Callable[[Key], Value],
    depth: int = 1,
    release: Callable[[Key], object] | None = None,
) -> Iterator[tuple[Key, Value]]:
    """Yields (key, fetch(key)) in order, while a thread fetches up to `depth` keys ahead.

    Args:
        keys: what to fetch, in order of use.
        fetch: called for each key once, in a background thread.
        depth: how many are fetched beyond the key in use.
        release: called once for every fetched key, after its use, or when it is clear that it will
            not be used.

    What `fetch` raises for a key is raised when that key's turn comes. A fetch under way when the
    consumer stops is not waited for: it ends with the process, or is released when it is done.

    Example:
        >>> list(prefetched(["step0", "step1"], str.upper))
        [('step0', 'STEP0'), ('step1', 'STEP1')]
    """
    keys, release = list(keys), release or (lambda key: None)
    worker = _Worker(keys, fetch, depth, release)
    try:
        for key in keys:
            value = worker.next()
            try:
                yield key, value
            finally:
                release(key)
    finally:
        worker.stop()


def background(job: Callable[[], Value], name: str = "fetch") -> Future[Value]:
    """Runs `job` in a thread that, unlike an executor's, does not delay the end of the process."""
    future: Future[Value] = Future()

    def run():
        try:
            future.set_result(job())
        except BaseException as error:  # raised to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class _Worker:
    """One thread that fetches keys in order, each for a permit.

    The consumer returns a permit with every value that it takes.
    """

    def __init__(self, keys: list, fetch: Callable, depth: int, release: Callable):
        self._fetch, self._release = fetch, release
        self._ready: queue.SimpleQueue = queue.SimpleQueue()  # (key, future), done
        self._permits = threading.Semaphore(max(1, depth))
        self._stopped = False
        # Under it a value is either handed over or released, never both.
        self._ending = threading.Lock()
        background(lambda: self._run(keys), "prefetch")

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

    def _run(self, keys: list):
        for key in keys:
            self._permits.acquire()
            if self._stopped:
                return
            future: Future = Future()
            try:
                future.set_result(self._fetch(key))
            except BaseException as error:
                future.set_exception(error)
            self._hand_over(key, future)
            if future.exception():
                return  # the consumer gets no further

    def _hand_over(self, key, future: Future):
        with self._ending:
            if not self._stopped:
                self._ready.put((key, future))
                return
        self._drop(key, future)

    def _drop(self, key, future: Future):
        if not future.exception():
            self._release(key)
