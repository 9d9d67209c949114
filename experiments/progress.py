"""How far a loop is and what is left: a bar on a terminal, a plain line every few seconds
elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from experiments import endings

Item = TypeVar("Item")
_SECONDS_BETWEEN_LINES = 10


def follow(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yields `items`, reporting after each."""
    report = counter(total, label)
    for done, item in enumerate(items, 1):
        yield item
        report(done)


def counter(total: int, label: str) -> Callable[[int], None]:
    """report(done): draws the bar, or prints a line if the last one is old or all is done."""
    if sys.stderr.isatty():
        bar = tqdm(total=total, desc=label, leave=True)

        def draw(done: int):
            bar.update(done - bar.n)
            if done >= total:
                bar.close()

        return draw
    # When the first report came, and what it said: compiling before it says nothing of the rest.
    first: list[float] = []
    printed = [time.monotonic()]

    def line(done: int):
        now = time.monotonic()
        first[:] = first or [now, done]
        if done >= total or now - printed[0] >= _SECONDS_BETWEEN_LINES:
            left = _left(now - first[0], done - first[1], total - done)
            endings.say(f"{label}: {done}/{total}, {left}")
            printed[0] = now

    return line


def _left(elapsed: float, done: float, remaining: int) -> str:
    if not remaining:
        return "done"
    return f"{tqdm.format_interval(elapsed / done * remaining)} left" if done else "compiling"
